"""What a sweep was given from outside of bptt: files that it reads, choices of the user's own, a changed program."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bptt.tracking.environment import PATCH

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep


@dataclass(frozen=True)
class Inputs:
    """What a repetition needs beside bptt.

    patch     of the program's sources; None: there is none, or it is not at hand
    files     that configurations name: path → SHA-256 of their content when the sweep began
    choices   files with choices of the user's own: path → text
    packages  of the user's own whose classes may be named
    """

    patch: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)


def inputs_of(sweep: "Sweep") -> Inputs:
    """What a sweep was given from outside."""
    allowed = [package for config in sweep.configs.values() for package in config.get("allow") or ()]
    head = None if sweep.recording is None else sweep.recording.head
    return Inputs(
        patch=_patch(sweep.folder),
        files={} if head is None else head.files,
        choices={} if head is None else head.choices,
        packages=list(dict.fromkeys(map(str, allowed))),
    )


def _patch(folder: Path | None) -> str | None:
    if folder is None:
        return None
    try:
        return (folder / PATCH).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
