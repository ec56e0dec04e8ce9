"""`--allow PACKAGE`: a record alone can't say whose code is run, the command has to."""

import argparse
import shlex
from collections.abc import Iterable


def add_allow(parser: argparse.ArgumentParser) -> None:
    """Add the option to a command that builds what a record describes."""
    parser.add_argument(
        "--allow",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="a package of your own whose classes the record may name, as with allow=[PACKAGE] of `bptt train`",
    )


def allow_options(packages: Iterable[str]) -> str:
    """The options, as they follow a command in a shell; empty without packages."""
    return "".join(f" --allow {shlex.quote(package)}" for package in dict.fromkeys(packages))
