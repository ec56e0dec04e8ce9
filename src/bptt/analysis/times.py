"""Times as they are told."""

from datetime import UTC, datetime


def moment(seconds: float) -> str:
    """Seconds since 1970 as a time of day: `2026-11-21 15:40 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def duration(seconds: float) -> str:
    """`8.3 s`, `1 min 32 s`, `2 h 5 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
