"""The commands that repeat a sweep, a run of it, its report; as words, and as a line for a shell."""

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from bptt.tracking.archive import is_sweep

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep

#: What a sweep is told about itself, and no run is made of.
_OF_SWEEPS: Final = ("reuse", "on_error", "question", "solved", "report")
_WHEREABOUTS: Final = ("hydra.sweep.dir=", "hydra.sweep.subdir=", "hydra.run.dir=")
_TAKE_A_FOLDER: Final = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")


def shell(words: Sequence[str]) -> str:
    """The words as they are typed into a shell."""
    return shlex.join(words)


def is_single(sweep: "Sweep") -> bool:
    """Whether it is a run on its own."""
    return sweep.folder is not None and not is_sweep(sweep.folder)


def whole_command(sweep: "Sweep") -> list[str]:
    """What trains all of it; empty unknown. Where its folder was to lie is nobody else's."""
    if is_single(sweep):
        return run_command(sweep, 0) or []
    return [word for word in sweep.command if not word.startswith(_WHEREABOUTS)]


def source_of(sweep: "Sweep") -> str:
    """What `bptt report` and `bptt reproduce` know it by: a sweep's name, a single run's folder, an id of the store."""
    if sweep.folder is None:
        own, colon, narrowing = sweep.name.partition(":")
        return f"{sweep.run_id or own}{colon}{narrowing}"
    return str(sweep.folder) if is_single(sweep) else sweep.name


def run_command(sweep: "Sweep", run: int) -> list[str] | None:
    """What trains one run of the sweep by itself; None: it is not known."""
    overrides = [text for text in sweep.overrides.get(run, []) if text.partition("=")[0] not in _OF_SWEEPS]
    if not overrides:
        return None
    # What a file of conf/sweep varies is left out, and its values are given here.
    single = ["hydra.mode=RUN"] if any(text.startswith("sweep=") for text in overrides) else []
    return ["bptt", "train", *_options(sweep.command), *overrides, *single]


def own_folders(command: Sequence[str]) -> list[str]:
    """The folders with choices of the user's own that a command names."""
    return [value for name, value in _given(command) if name in _TAKE_A_FOLDER[:4]]


def _options(command: Sequence[str]) -> list[str]:
    return [word for option in _given(command) for word in option]


def _given(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options with a value, in either form: `--config-dir mine`, `--config-dir=mine`."""
    words = iter(command)
    for word in words:
        name, equals, value = word.partition("=")
        if name in _TAKE_A_FOLDER:
            yield name, value if equals else next(words, "")
