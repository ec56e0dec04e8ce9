"""Where the configuration's files lie."""

from collections.abc import Sequence
from pathlib import Path

import bptt


def find_conf_folder() -> Path:
    """The folder of the shipped choices: beside the package in a wheel, in the repository when installed from it."""
    package = Path(bptt.__file__).parent
    in_wheel = package / "conf"
    return in_wheel if in_wheel.is_dir() else package.parents[1] / "conf"


def list_choices(group: str, folders: Sequence[Path]) -> dict[str, Path]:
    """The choices of a group by name, in alphabetical order; the folder that comes first has precedence."""
    found = {path.stem: path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")}
    return dict(sorted(found.items()))
