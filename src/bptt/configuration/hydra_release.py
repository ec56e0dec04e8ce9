"""What differs between Hydra's releases: which defaults are asked for, and a text that Python 3.14 takes for none."""

import argparse
from collections.abc import Callable
from typing import Any, Final

import hydra
from hydra import version
from hydra._internal import utils

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
