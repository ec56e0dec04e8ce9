"""`bptt tune --over KEY=VALUES [overrides]`: a sweep in which each setting first chooses values of its own."""

import sys
from argparse import ArgumentTypeError
from collections.abc import Sequence

from bptt.cli.common import Parser

_EXAMPLE = "optimizer.alpha=1e-4:1:9"


def main(argv: Sequence[str]) -> int:
    """Train such a sweep. 0: all went well, 1: a run failed, 2: a wrong request, 130: interrupted."""
    parser = Parser(
        prog="bptt tune",
        usage="bptt tune --over KEY=LOW:HIGH:COUNT|A,B,… [--over …] [--seeds N] [overrides of bptt train]",
        description="Trains a sweep in which each setting first chooses values of its own, on seeds of their own, and"
        " then is trained with them on the sweep's seeds: the same as bptt train -m … tune={KEY: …, seeds: N}. Without"
        " seeds of its own the sweep has ten.",
    )
    parser.add_argument(
        "--over",
        metavar="KEY=VALUES",
        action="append",
        required=True,
        type=_read_over,
        help=f"what is tuned: from 1e-4 to 1 on a logarithmic scale, {_EXAMPLE}, or a list, clip=none,norm",
    )
    parser.add_argument("--seeds", type=int, help="with how many seeds each value is tried (default: 5)")
    args, overrides = parser.parse_known_args(argv)
    given = [override.partition("=")[0].lstrip("+~") for override in overrides]
    if "tune" in given:
        print("bptt tune: tune=…: --over says what is tuned", file=sys.stderr)
        return 2
    parts = [*args.over, *([] if args.seeds is None else [f"seeds:{args.seeds}"])]
    several = [] if {"-m", "--multirun"} & {*overrides} else ["-m"]
    # A sweep that is shipped has seeds of its own.
    seeds = [] if {"seed", "sweep", "hydra.sweeper.seeds"} & {*given} else ["seed=range(10)"]
    from bptt.cli.train import main as train

    return train([*several, *overrides, *seeds, f"tune={{{','.join(parts)}}}"])


def _read_over(text: str) -> str:
    """`KEY=LOW:HIGH:COUNT` or `KEY=A,B,…` as an entry of `tune`."""
    key, equals, values = text.partition("=")
    if not (key and equals and values):
        raise ArgumentTypeError(f"{text}: must be KEY=VALUES, as {_EXAMPLE}")
    if ":" in values:
        return f"{key}:{{log:[{','.join(values.split(':'))}]}}"
    return f"{key}:[{values}]"
