"""One core, one thread, and a description of both for the results. Imports nothing that starts threads."""

import importlib.metadata
import os
import platform
import re
from pathlib import Path

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "1",
}
_PACKAGES = ("numpy", "numba", "llvmlite", "torch", "jax", "jaxlib")


def list_cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def settle(core: int | None = None) -> None:
    """Give this process and its children one thread and, where the system can, one core. Before NumPy is imported."""
    os.environ.update(_ONE_THREAD)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {list_cores()[-1] if core is None else core})


def name_processor() -> str:
    """The processor's model, as the system calls it."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else []
    return (names[0] if names else platform.processor() or platform.machine()).strip()


def _read_generation() -> str | None:
    """The processor's family and model, which its name may not tell: of AMD family 25 are Zen 3 and 4, 26 is Zen 5."""
    info = Path("/proc/cpuinfo")
    found = (
        dict(re.findall(r"^(cpu family|model)\s*:\s*(\d+)$", info.read_text(), re.MULTILINE)) if info.exists() else {}
    )
    return f"family {found['cpu family']}, model {found['model']}" if len(found) == 2 else None


def describe() -> dict[str, object]:
    """What a reader must know to place the figures; nothing that names the machine or its user."""
    import bptt
    from bptt.core.simd import WIDTH

    return {
        "processor": name_processor(),
        "generation": _read_generation(),
        "cores": os.cpu_count(),
        "pinned": hasattr(os, "sched_setaffinity"),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "vector_width": WIDTH,
        "versions": {"bptt": bptt.__version__} | {name: importlib.metadata.version(name) for name in _PACKAGES},
    }
