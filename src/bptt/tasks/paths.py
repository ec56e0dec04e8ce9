"""Files that a user names."""

from pathlib import Path

from bptt.core.annotations import InvalidValue


def existing(path: str) -> Path:
    """The file at `path`, absolute, `~` followed. InvalidValue("path", …) where there is no such file."""
    try:
        file = Path(path).expanduser().absolute()
        found = file.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, the home of nobody
        says = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidValue("path", path, f"no such file ({says})") from None
    if not found:
        raise InvalidValue("path", path, "is a folder" if file.is_dir() else "no such file")
    return file
