"""Two records of what should be one run, compared number by number; and a hash of all that was recorded of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bptt.core.run import TIMED, Record
from bptt.tracking.folder.files import list_once

if TYPE_CHECKING:
    import pandas as pd

FLOW = "gradient flow"
STATE = "state at the end"
_UPDATES = "recorded updates"
_AT_ONCE = 4096  # runs


@dataclass(frozen=True)
class Deviation:
    """The first place at which a part of a run differs; of numbers, the first one beyond the tolerance.

    update     None: the part is of the run's end
    place      where in the part, in words; empty where it is a single value
    then, now  the values
    """

    update: int | None
    place: str
    then: float | int | str
    now: float | int | str


@dataclass(frozen=True)
class ComparedPart:
    """A metric, the gradient flow, an array of weights, …: what became of it.

    values     how many numbers were compared
    differing  how many of them have other bits
    largest    the largest relative difference, see `compare_runs`; infinite where one is no number, nan: the same
    first      None: the same bits, or none that is beyond the tolerance
    """

    name: str
    values: int
    differing: int
    largest: float
    first: Deviation | None


@dataclass(frozen=True)
class RunComparison:
    """What was compared of a run, and the names of what only one of the two records has."""

    parts: tuple[ComparedPart, ...]
    only_then: tuple[str, ...] = ()
    only_now: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs, or nothing beyond the tolerance."""
        return all(part.first is None for part in self.parts)

    @property
    def same_bits(self) -> bool:
        """Whether nothing differs at all."""
        return self.same and not any(part.differing for part in self.parts)

    @property
    def first(self) -> tuple[ComparedPart, Deviation] | None:
        """What differs first in the course of training; None: nothing does."""
        found = [(part, part.first) for part in self.parts if part.first is not None]
        return min(found, key=_find_update, default=None)


def compare_runs(then: Record, now: Record, tolerance: float | None = None, ended: bool = True) -> RunComparison:
    """Compare what was recorded then with what was recorded now.

    tolerance  None: numbers are the same where all their bits are, and every NaN is the same as any other. Otherwise
               where |a − b| ≤ tolerance · s as well; s is the larger of |a| and |b|, and in weights and states, which
               are made of many, the largest of the whole array
    ended      False: the run was broken off then, so that only what it had recorded by then is compared

    Metrics and gradient flow are compared as long as the recorded updates are the same ones, but for the time that
    training took. A state that one of the
    records does not hold is left out, as are metrics that only one of them has.
    """
    before, after = (np.asarray(record.history["update"], np.int64) for record in (then, now))
    points = _count_alike(before, after)
    parts = [_compare_text("outcome", then.outcome, now.outcome)] if ended else []
    parts += [_compare_text("last update", then.updates, now.updates), _compare_axes(before, after, points)]
    names = [name for name in then.history if name not in ("update", *TIMED) and name in now.history]
    rows = before[:points]
    parts += [
        _compare_records(name, rows, then.history[name][:points], now.history[name][:points], tolerance)
        for name in names
    ]
    if ended:
        last, common = np.array([then.updates]), [name for name in then.once if name in now.once]
        parts += [
            _compare_records(name, last, np.array([then.once[name]]), np.array([now.once[name]]), tolerance)
            for name in common
        ]
    if then.flow.shape[1] == now.flow.shape[1]:
        parts.append(_compare_records(FLOW, rows, then.flow[:points], now.flow[:points], tolerance))
    else:
        parts.append(_compare_text(f"{FLOW}'s timesteps", then.flow.shape[1], now.flow.shape[1]))
    parts += _compare_arrays(then.parameters, now.parameters, tolerance)
    for update in sorted(then.snapshots.keys() & now.snapshots.keys()):
        kept = [
            {f"{name} after {update}": array for name, array in own.snapshots[update].items()} for own in (then, now)
        ]
        parts += _compare_arrays(kept[0], kept[1], tolerance)
    if then.state.size and now.state.size:
        parts += _compare_arrays({STATE: then.state}, {STATE: now.state}, tolerance)
    return RunComparison(
        tuple(parts),
        tuple(name for name in then.history if name not in now.history),
        tuple(name for name in now.history if name not in then.history),
    )


def compare_texts(name: str, then: str, now: str) -> RunComparison:
    """A run of which only this can be compared."""
    return RunComparison((_compare_text(name, then, now),))


def _compare_text(name: str, then: str | int, now: str | int) -> ComparedPart:
    differs = then != now
    return ComparedPart(
        name, 1, int(differs), np.inf if differs else np.nan, _name_deviation(then, now) if differs else None
    )


def _name_deviation(then: Any, now: Any) -> Deviation:
    return Deviation(None, "", then, now)


def _count_alike(then: NDArray[np.int64], now: NDArray[np.int64]) -> int:
    """How many recorded updates are the same, from the first one on."""
    shorter = min(len(then), len(now))
    differs = np.flatnonzero(then[:shorter] != now[:shorter])
    return int(differs[0]) if len(differs) else shorter


def _compare_axes(then: NDArray[np.int64], now: NDArray[np.int64], points: int) -> ComparedPart:
    longer = max(len(then), len(now))
    first = None
    if points < longer:
        at = [int(own[points]) if points < len(own) else "none" for own in (then, now)]
        first = Deviation(None, f"number {points + 1}", at[0], at[1])
    return ComparedPart(_UPDATES, longer, longer - points, np.inf if first else np.nan, first)


def _compare_records(
    name: str, updates: NDArray[np.int64], then: NDArray[Any], now: NDArray[Any], tolerance: float | None
) -> ComparedPart:
    """Of a metric (points,), or of the gradient flow (points, timesteps)."""
    then, now = np.asarray(then, np.float64), np.asarray(now, np.float64)
    differs = _find_other_bits(then, now)
    if not differs.any():
        return ComparedPart(name, then.size, 0, np.nan, None)
    relative = _relative(then, now, np.maximum(np.abs(then), np.abs(now)))
    beyond = differs if tolerance is None else differs & ~(relative <= tolerance)
    first = None
    if beyond.any():
        place = np.unravel_index(int(beyond.argmax()), beyond.shape)
        lag = f"lag {place[1]}" if len(place) > 1 else ""
        first = Deviation(int(updates[place[0]]), lag, float(then[place]), float(now[place]))
    return ComparedPart(name, then.size, int(differs.sum()), float(relative[differs].max()), first)


def _compare_arrays(then: Mapping[str, Any], now: Mapping[str, Any], tolerance: float | None) -> Iterator[ComparedPart]:
    for name in dict.fromkeys([*then, *now]):
        shapes = [str(np.shape(own[name])) if name in own else "none" for own in (then, now)]
        if shapes[0] != shapes[1]:
            yield _compare_text(f"{name}'s shape", *shapes)
        else:
            yield _compare_array(name, np.asarray(then[name], np.float64), np.asarray(now[name], np.float64), tolerance)


def _compare_array(name: str, then: NDArray[Any], now: NDArray[Any], tolerance: float | None) -> ComparedPart:
    differs = _find_other_bits(then, now)
    if not differs.any():
        return ComparedPart(name, then.size, 0, np.nan, None)
    sizes = np.abs(np.stack([then, now]))
    relative = _relative(then, now, np.max(sizes, where=np.isfinite(sizes), initial=0.0))
    beyond = differs if tolerance is None else differs & ~(relative <= tolerance)
    first = None
    if beyond.any():
        place = tuple(int(index) for index in np.unravel_index(int(beyond.argmax()), beyond.shape))
        first = Deviation(None, str(list(place)), float(then[place]), float(now[place]))
    return ComparedPart(name, then.size, int(differs.sum()), float(relative[differs].max()), first)


def _find_other_bits(then: NDArray[Any], now: NDArray[Any]) -> NDArray[np.bool_]:
    bits = (np.ascontiguousarray(own, np.float64).view(np.int64) for own in (then, now))
    differs: NDArray[np.bool_] = np.not_equal(*bits)
    return differs & ~(np.isnan(then) & np.isnan(now))


def _relative(then: NDArray[Any], now: NDArray[Any], scale: Any) -> NDArray[Any]:
    """|then − now| / scale; 0 where both are equal, as 0.0 and −0.0 are, infinite where one of them is no number."""
    with np.errstate(all="ignore"):
        relative = np.where(then == now, 0.0, np.abs(then - now) / scale)
    return np.where(np.isnan(relative), np.inf, relative)


def _find_update(found: tuple[ComparedPart, Deviation]) -> float:
    update = found[1].update
    return np.inf if update is None else float(update)


def hash_runs(runs: "pd.DataFrame", history: "pd.DataFrame") -> NDArray[np.uint8]:
    """A hash of all that was recorded of each run, (runs, 32), see `bptt.analysis.sweep.hash_results`."""
    told = [name for name in ("digest", "status", "outcome", "updates") if name in runs] + list_once(runs.columns)
    stopped = runs["status"].eq("KILLED") & runs["updates"].notna()  # by halving: as its record has it
    runs = runs.assign(outcome=runs["outcome"].where(~stopped, "early_stopped"))
    names = ["update", *sorted(name for name in history.columns if name not in ("run", "update", *TIMED))]
    owners, updates = (history[name].to_numpy() for name in ("run", "update"))
    order = np.lexsort((updates, owners))
    owners = owners[order]
    numbers = runs["run"].to_numpy()
    firsts, ends = (np.searchsorted(owners, numbers, side) for side in ("left", "right"))
    found = np.empty((len(runs), sha256().digest_size), np.uint8)
    for start in range(0, len(runs), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        rows = zip(*(runs[name].iloc[some].tolist() for name in told), strict=True)
        low, high = (int(end) for end in (firsts[some].min(), ends[some].max()))
        places = firsts[some] - low, ends[some] - low
        metrics = [
            _MetricTexts(name, history[name].iloc[order[low:high]].to_numpy("float64", na_value=np.nan), *places)
            for name in names
        ]
        for number, values in enumerate(rows):
            named = "\n".join([f"{name} {_write_known(value)}" for name, value in zip(told, values, strict=True)])
            text = b"".join([named.encode(), *(metric.write(number) for metric in metrics)])
            found[start + number] = np.frombuffer(sha256(text).digest(), np.uint8)
    return found


class _MetricTexts:
    """What is hashed of a metric of several runs, each of which has the values from its first place to its end."""

    def __init__(
        self, name: str, values: NDArray[np.float64], firsts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> None:
        self._title = f"\n{name} ".encode()
        known = np.concatenate([[0], np.cumsum(~np.isnan(values))])
        self._there = known[ends] > known[firsts]
        # Which NaN it is says nothing.
        self._bytes = np.nan_to_num(values, nan=np.nan).astype("<f8").tobytes()
        self._firsts, self._ends = firsts.tolist(), ends.tolist()

    def write(self, run: int) -> bytes:
        """Of one of them; nothing where it did not have the metric."""
        if not self._there[run]:
            return b""
        return self._title + self._bytes[8 * self._firsts[run] : 8 * self._ends[run]]


def _write_known(value: Any) -> str:
    """A value with all its bits; empty where it is not known."""
    if value is None or value != value:
        return ""
    return float(value).hex() if isinstance(value, float | int) else str(value)
