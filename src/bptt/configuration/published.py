"""What a sweep is held against: numbers and claims that were published, each with the runs that answer it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

from bptt.configuration.errors import suggest, write_problem
from bptt.configuration.fields import construct, is_number
from bptt.core.annotations import InvalidValue, Range

Selected = tuple[tuple[str, float | int | str | bool | None], ...]
Claim = Literal["equal", "at_least", "at_most", "more", "less", "same"]

_OF_NUMBERS: Final = ("equal", "at_least", "at_most")
_OF_TWO: Final = ("more", "less", "same")
_READ_HERE: Final = ("theirs", "where", "against")


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """A number or a claim, and the runs that it is compared with.

    what     it is of, in a few words
    at       where in the source it was read
    theirs   the number, which is compared; or what they say, which is shown; None: neither
    where    swept key → value, of the runs that answer it; none: all
    against  the same of those that these are compared with, on pairs of equal seeds; None: with none
    measure  `solved`, the share of runs; `updates` until half solve it; or a column of `Sweep.runs`, its median
    claim    of a number: ours is `equal`, `at_least`, `at_most`; of two settings: `more`, `less`, `same`
    within   how far from a number is still the same: of a share, and of 0, a difference, else a share of the number; of
             a claim how far from no difference is still about as often
    """

    what: str
    at: str = ""
    measure: str = "solved"
    claim: Claim | None = None
    within: Annotated[float, Range(at_least=0, below=1)] = 0.1
    theirs: float | str | None = None
    where: Selected = ()
    against: Selected | None = None

    def __post_init__(self) -> None:
        if not self.what.strip():
            raise InvalidValue("what", self.what, "must say what the number or the claim is of")

    @property
    def number(self) -> float | None:
        """The number that ours is compared with; None: there is none."""
        return None if self.against is not None or not is_number(self.theirs) else float(self.theirs or 0)


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a source says; `source` names it as a reference does."""

    source: str
    rows: tuple[PublishedRow, ...]


def read_published(node: Any, problems: list[str]) -> Published | None:
    """What the root key `published` says; None: nothing, or what is wrong, with a line for each in `problems`."""
    if node is None:
        return None
    before = len(problems)
    if not isinstance(node, Mapping):
        problems.append(
            write_problem("published", node, "must be a mapping, {source: …, rows: [{what: …, theirs: …}]}")
        )
        return None
    for name in node:
        if name not in ("source", "rows"):
            meant = suggest(str(name), ("source", "rows"), "published.")
            problems.append(write_problem(f"published.{name}", node[name], f"no such key{meant} (keys: source, rows)"))
    if len(problems) > before:
        return None  # what is missing is probably what was misspelt
    source, rows = node.get("source"), node.get("rows")
    if not isinstance(source, str) or not source.strip():
        problems.append(write_problem("published.source", source, "must name the source, as a reference does"))
    if not isinstance(rows, list) or not rows:
        problems.append(write_problem("published.rows", rows, "must be a list of mappings, [{what: …, theirs: …}]"))
        rows = []
    read = [_read_row(f"published.rows[{place}]", row, problems) for place, row in enumerate(rows)]
    if len(problems) > before:
        return None
    return Published(source=str(source), rows=tuple(row for row in read if row is not None))


def is_same_value(own: Any, meant: float | str | bool | None) -> bool:
    """Whether a run's value is the one that selects it: numbers may be written in several ways; NaN is none."""
    if meant is None or own is None or own != own:
        return meant is None and (own is None or own != own)
    if isinstance(meant, int | float) and not isinstance(meant, bool):
        try:
            return math.isclose(float(own), meant, rel_tol=1e-9)
        except (TypeError, ValueError):
            return False
    return str(own).lower() == str(meant).lower() if isinstance(meant, bool) else str(own) == meant


def make_published_plain(published: Published) -> dict[str, Any]:
    """What `read_published` was given, as JSON can hold it."""
    rows = []
    for row in published.rows:
        plain = {name: value for name, value in vars(row).items() if value is not None}
        selected = {name: dict(plain[name]) for name in ("where", "against") if name in plain}
        rows.append(plain | selected)
    return {"source": published.source, "rows": rows}


def _read_row(key: str, node: Any, problems: list[str]) -> PublishedRow | None:
    if not isinstance(node, Mapping):
        problems.append(write_problem(key, node, "must be a mapping, {what: …, theirs: …}"))
        return None
    before = len(problems)
    rest = {name: value for name, value in node.items() if name not in _READ_HERE}
    row: PublishedRow | None = construct(key, rest, PublishedRow, problems, hidden=_READ_HERE)
    theirs = node.get("theirs")
    if not (theirs is None or isinstance(theirs, str) or is_number(theirs)):
        problems.append(write_problem(f"{key}.theirs", theirs, "must be a number, which is compared, or a text"))
    where = _read_selected(f"{key}.where", {} if node.get("where") is None else node["where"], problems)
    against = None if node.get("against") is None else _read_selected(f"{key}.against", node["against"], problems)
    if row is None or len(problems) > before:
        return None
    row = replace(row, theirs=theirs, where=where, against=against)
    allowed = _OF_NUMBERS if against is None else _OF_TWO
    if row.claim is not None and row.claim not in allowed:
        of = "a number" if against is None else "two settings"
        problems.append(write_problem(f"{key}.claim", row.claim, f"must be {', '.join(allowed)} of {of}"))
    elif against is not None and row.claim is None:
        problems.append(f"{key}.claim: missing; must be {', '.join(_OF_TWO)}: what `where` does beside `against`")
    elif row.measure == "solved" and row.number is not None and not 0 <= row.number <= 1:
        problems.append(write_problem(f"{key}.theirs", theirs, "must be a share from 0 to 1, as that of runs solved"))
    elif row.claim is not None and against is None and row.number is None:
        problems.append(write_problem(f"{key}.claim", row.claim, "needs a number in theirs"))
    return replace(row, claim=row.claim or ("equal" if row.number is not None else None))


def _read_selected(key: str, node: Any, problems: list[str]) -> Selected:
    if not isinstance(node, Mapping):
        problems.append(write_problem(key, node, "must be a mapping of swept keys and values"))
        return ()
    for name, value in node.items():
        if not (value is None or isinstance(value, str | bool) or is_number(value)):
            problems.append(write_problem(f"{key}.{name}", value, "must be a number, a text, true, false or null"))
    return tuple((str(name), value) for name, value in node.items())
