"""How much a machine can hold."""

import os


def measure_memory() -> int:
    """Bytes of this machine's memory; where the system does not say, what an address can name."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**63
