"""Hydra: one run or a sweep, which of its settings mean nothing there, and what differs between its releases.

Hydra ignores `hydra.run` in a sweep and `hydra.sweep` outside of one, and sets other keys itself whatever was given.
What a user types does what it says, or is refused by the line that says how.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import hydra
from hydra import version
from hydra._internal import utils
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bptt.configuration.errors import ConfigurationError, cut, write_problem

_GRID: Final = "hydra_plugins.bptt_grid.GridSweeper"
_LANES: Final = "hydra_plugins.bptt_lanes.LanesLauncher"
_SWEEPER: Final = ("hydra.sweeper", "hydra/sweeper")
_MODE: Final = "hydra.mode"
_SUBDIR: Final = "${hydra.job.num}"  # as conf/config.yaml has it

_SET_BY_HYDRA: Final = "is set by Hydra, whatever is given"
#: Keys, and those below them, that mean nothing whichever is asked for.
_NEVER: Final = {
    "hydra.overrides": _SET_BY_HYDRA,
    "hydra.runtime": _SET_BY_HYDRA,
    "hydra.job.override_dirname": _SET_BY_HYDRA,
    "hydra.job.config_name": f"{_SET_BY_HYDRA}; --config-name names another file",
}
_TAKES: Final = ", which takes -m"
#: The same in a sweep, and in a single run.
_IN_A_SWEEP: Final = {
    "hydra.run.dir": "is the folder of a single run; a sweep's is hydra.sweep.dir={value}",
    "hydra.output_subdir": "is in the folder of a single run; a sweep keeps what Hydra would write there in sweep.json",
    "hydra.job_logging": "is of a single run; a sweep's is hydra.hydra_logging",
    "hydra/job_logging": "is of a single run; a sweep's is hydra/hydra_logging={value}",
}
_IN_A_RUN: Final = {
    "hydra.sweep.dir": f"is the folder of a sweep{_TAKES}; a single run's is hydra.run.dir={{value}}",
    "hydra.launcher": f"is for the runs of a sweep{_TAKES}; a single run has no workers",
    "hydra/launcher": f"is for the runs of a sweep{_TAKES}; a single run has no workers",
    "hydra.hydra_logging": "is of a sweep; a single run's is hydra.job_logging",
    "hydra/hydra_logging": "is of a sweep; a single run's is hydra/job_logging={value}",
    "question": f"is what a sweep asks{_TAKES}",
    "solved": f"says which runs of a sweep have solved their task{_TAKES}; bptt report RUN --solved … asks it of a run",
    "conditions": f"says what makes the question of a sweep harder{_TAKES}",
    "measure": f"is measured of the runs of a sweep{_TAKES}; bptt measure RUN measures one",
    "published": f"is what a sweep is held against{_TAKES}",
    "reuse=true": f"takes runs of a sweep from the store{_TAKES}; a single run is always trained",
    "tracking.detail=last": f"is for the runs of a sweep{_TAKES}; a single run is recorded in full",
    "tracking.detail=sweep": f"is for the runs of a sweep{_TAKES}; a single run is recorded in full",
    "report=true": f"is the report of a sweep{_TAKES}; bptt report RUN makes that of a run",
}


def asks_for_sweep(
    config: DictConfig, parsed: Sequence[Override], *, multirun: bool = False, single: bool = False
) -> bool:
    """Whether a command asks for a sweep: with -m, or as its file or what was typed sets something of the sweeper.

    multirun, single  whether -m or --run was given; so does hydra.mode, MULTIRUN or RUN, say which of both it is

    Raises ConfigurationError where the command says both.
    """
    typed = {override.key_or_group: override for override in parsed}
    mode = config.hydra.mode
    if _MODE in typed and ((multirun and mode is RunMode.RUN) or (single and mode is RunMode.MULTIRUN)):
        flag, asks = ("-m", "a sweep") if multirun else ("--run", "a single run")
        raise ConfigurationError([write_problem(_MODE, mode.name, f"{flag} asks for {asks}")])
    if multirun:
        return True
    if single or mode is RunMode.RUN:
        off = "--run" if single else f"{_MODE}=RUN"
        lines = [
            f"{cut(str(o.input_line))}: is of a sweep, and {off} asks for a single run" for o in _of_sweeper(parsed)
        ]
        if lines:
            raise ConfigurationError(lines)
        return False
    return mode is RunMode.MULTIRUN or _varies(config.hydra.sweeper)


def _varies(sweeper: DictConfig) -> bool:
    """Whether a sweeper has settings, of whatever name, or is another one than the one that is there."""
    node = OmegaConf.to_container(sweeper)
    assert isinstance(node, dict)
    return node.pop("_target_", None) != _GRID or any(value not in (None, [], {}) for value in node.values())


def _of_sweeper(parsed: Iterable[Override]) -> list[Override]:
    return [override for override in parsed if _is_below(override.key_or_group, _SWEEPER) and override.value()]


def _is_below(key: str, parents: Iterable[str]) -> bool:
    return any(key == parent or key.startswith(f"{parent}.") for parent in parents)


def refuse_unused(config: DictConfig, parsed: Iterable[Override], sweep: bool) -> None:
    """Refuse what is typed and means nothing, as it is of a single run in a sweep, or of a sweep in a single run.

    Raises ConfigurationError with a line for each; for what a file asks for too, where it would scatter files.
    """
    lines = [line for override in parsed for line in _find_unused(override, sweep)]
    if config.hydra.job.chdir:
        says = "a run's files lie in its own folder, and paths are meant from the current one; cd changes that"
        lines.append(write_problem("hydra.job.chdir", config.hydra.job.chdir, says))
    subdir = OmegaConf.to_container(config.hydra.sweep).get("subdir")  # type: ignore[union-attr]
    if subdir != _SUBDIR:
        says = "the runs of a sweep have no folders of their own; hydra.sweep.dir is the sweep's"
        lines.append(write_problem("hydra.sweep.subdir", subdir, says))
    if sweep and config.hydra.launcher.get("_target_") != _LANES:
        chosen = config.hydra.runtime.choices["hydra/launcher"]
        lines.append(write_problem("hydra/launcher", chosen, "must be lanes"))
    if lines:
        raise ConfigurationError(lines)


def _find_unused(override: Override, sweep: bool) -> Iterator[str]:
    key = override.key_or_group
    value = str(override.input_line).partition("=")[2]
    own = _IN_A_SWEEP if sweep else _IN_A_RUN
    for parent, says in {**_NEVER, **own}.items():
        named, _, wanted = parent.partition("=")
        if says and _is_below(key, [named]) and (not wanted or value.lower() == wanted) and not _is_nothing(override):
            yield f"{cut(str(override.input_line))}: {says.format(value=value)}"


def _is_nothing(override: Override) -> bool:
    """Whether an override of the user's own keys takes something back."""
    return not override.is_hydra_override() and (override.is_delete() or override.value() is None)


def find_other_setting(sweep: DictConfig, job: DictConfig, sweeper: bool) -> str | None:
    """The first of Hydra's settings in which a job's node `hydra` differs from its sweep's; None: there is none.

    sweeper  whether those of the sweeper count, too
    """
    ours, theirs = (OmegaConf.to_container(node) for node in (sweep, job))
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    for name in (*("sweeper",) * sweeper, "launcher", "sweep", "run", "output_subdir", "verbose", "callbacks"):
        if ours.get(name) != theirs.get(name):
            inner = _find_differing_key(ours.get(name), theirs.get(name))
            return f"hydra.{name}{inner and f'.{inner}'}"
    return None


def _find_differing_key(one: Any, other: Any) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        return next((str(key) for key in {**one, **other} if one.get(key) != other.get(key)), "")
    return ""


_DEFAULTS: Final = "1.3"  # of hydra-core 1.3, which has those of 1.1 and 1.2 too


def _has_one_set_of_defaults() -> bool:
    major, minor = hydra.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (1, 4)


def version_base() -> dict[str, str]:
    """The argument by which `hydra.initialize_config_dir` is asked for today's defaults.

    hydra-core 1.4 has no others, and warns of the argument.
    """
    return {} if _has_one_set_of_defaults() else {"version_base": _DEFAULTS}


def choose_defaults() -> None:
    """Ask for today's defaults, for what doesn't pass through `hydra.initialize_config_dir`."""
    if not _has_one_set_of_defaults():
        version.setbase(_DEFAULTS)


def arguments_parser() -> argparse.ArgumentParser:
    """Hydra's parser of a command's arguments.

    hydra-core 1.3 gives argparse an object for the help of --shell-completion, so that its text is made when it is
    wanted; Python 3.14 wants every text at once, and refuses what is none.
    """
    try:
        return utils.get_args_parser()
    except ValueError:  # tab completion makes a parser of its own, in the same way
        utils.get_args_parser = _with_texts(utils.get_args_parser)
        return utils.get_args_parser()


def _with_texts(make_parser: Callable[[], argparse.ArgumentParser]) -> Callable[[], argparse.ArgumentParser]:
    """A function that makes the same parser, whose help is text throughout."""

    def make() -> argparse.ArgumentParser:
        owner = next(kind for kind in argparse.ArgumentParser.__mro__ if "add_argument" in vars(kind))
        add_argument = argparse.ArgumentParser.add_argument

        def with_text(parser: argparse.ArgumentParser, *flags: Any, **options: Any) -> argparse.Action:
            if options.get("help") is not None:
                options["help"] = str(options["help"])
            return add_argument(parser, *flags, **options)

        owner.add_argument = with_text  # type: ignore[attr-defined]
        try:
            return make_parser()
        finally:
            owner.add_argument = add_argument  # type: ignore[attr-defined]

    return make
