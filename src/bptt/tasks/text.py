"""Text files: the shipped ones, and those of a user."""

from importlib import resources

from bptt.core.annotations import InvalidValue
from bptt.tasks.paths import existing


def read_text(path: str | None, shipped: str) -> str:
    """The text of the UTF-8 file at `path`, or of the package's own file `shipped` where path is None.

    InvalidValue("path", …) where there is no such file, or one that isn't UTF-8 (with the line where it stops being
    so).
    """
    if path is None:
        return resources.files("bptt.tasks").joinpath("data", shipped).read_text(encoding="utf-8")
    try:
        data = existing(path).read_bytes()
    except OSError as error:
        raise InvalidValue("path", path, f"the file can't be read ({error.strerror})") from None
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidValue("path", path, f"line {line}: not UTF-8 (byte 0x{data[error.start]:02x})") from None
