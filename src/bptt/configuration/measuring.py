"""What is measured of the networks that a sweep leaves, before its report is made."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from bptt.configuration.errors import suggest, write_problem

Kind = Literal["lyapunov", "jacobian", "sharpness", "fixed_points", "noise_scale", "truncation_bias"]
When = Literal["first", "last", "all"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
WHEN: Final[tuple[When, ...]] = get_args(When)


def read_measuring(node: Any, problems: list[str]) -> tuple[tuple[Kind, When], ...]:
    """What the root key `measure` says, `{lyapunov: first}`: each kind of measure, and of which networks it is taken.

    `problems` gets a line for everything that is wrong.
    """
    if node is None:
        return ()
    if not isinstance(node, Mapping):
        problems.append(write_problem("measure", node, "must be a mapping, as {lyapunov: first}"))
        return ()
    found = []
    for kind, when in node.items():
        if kind not in KINDS:
            says = f"no such measure{suggest(str(kind), KINDS, 'measure.')} (measures: {', '.join(KINDS)})"
            problems.append(write_problem(f"measure.{kind}", when, says))
        elif when not in WHEN:
            says = f"must be {', '.join(WHEN[:-1])} or {WHEN[-1]}{suggest(str(when), WHEN)}"
            problems.append(write_problem(f"measure.{kind}", when, says))
        else:
            found.append((kind, when))
    return tuple(found)
