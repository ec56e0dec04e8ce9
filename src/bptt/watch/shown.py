"""What the page shows of a sweep, as JSON: texts that are fit to print, numbers that JSON has."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bptt.analysis.figures.material import find_display
from bptt.analysis.ranking import RULE
from bptt.analysis.solved import Solved
from bptt.analysis.style import are_logarithmic
from bptt.printable import make_printable
from bptt.tracking.folder.points import WATCHED
from bptt.tracking.folder.progress import write_duration
from bptt.watch.curves import Curve, RecordedPortions, make_curve
from bptt.watch.look import SweepLook, SweepState, tell_why
from bptt.watch.standing import Arms, Standing, compare_arms, find_arms

_MOST_ARMS: Final = 24  # of a condition, that are listed and drawn: no more can be told apart
_FEW_ARMS: Final = 12  # all of which are listed, be they begun or not
_MOST_CONDITIONS: Final = 12
_MOST_REASONS: Final = 12
_MOST_BLOCKS: Final = 8
_MOST_NAMES: Final = 3
_LONGEST: Final = 300  # characters of a text of others


class ShownSweep:
    """What is shown of the sweep in a folder, renewed as often as one likes; only what is new is read.

    summary  all but the curves
    """

    def __init__(self, folder: Path) -> None:
        """Raises ArchiveError where it is no sweep's folder."""
        self._folder, self._look = folder, SweepLook(folder)
        journal = self._look.archive.journal
        self._solved = journal.solved
        beside = [] if journal.solved is None else [Solved.parse(journal.solved).metric]
        self._portions = RecordedPortions(self._look.archive, beside)
        self._arms: Arms | None = None
        self._version: object = None
        self._standings: tuple[list[Standing], Solved | None] = ([], None)
        self._count = 0  # of renewals
        self._changed: dict[int, int] = {}  # arm → the renewal that changed it
        self._curves: dict[tuple[int, str], tuple[int, Any]] = {}
        self.summary: dict[str, Any] = {}
        self.at_work = False

    def renew(self) -> None:
        """Look at the folder. Raises ArchiveError where something can't be read."""
        state, journal = self._look.take(), self._look.archive.journal
        self._count += 1
        if self._arms is None or self._version != self._look.version:
            self._arms, self._version = find_arms(self._look.jobs, journal), self._look.version
            self._changed = dict.fromkeys(range(len(self._arms.runs)), self._count)
            self._curves.clear()
            self._standings = [], None
        numbers = [int(name.partition(" ")[2]) for name in state.running if name.startswith("block ")]
        over, on = self._portions.read(self._look.blocks, numbers, journal.sealed)
        changed = {self._arms.of_run.get(run) for run in over | on} - {None}
        self._changed |= dict.fromkeys((arm for arm in changed if arm is not None), self._count)
        if over or not self._standings[0]:
            self._standings = compare_arms(self._arms, self._portions.ended.values(), self._solved)
        self.at_work = state.at_work
        self.summary = self._summarize(state, journal.question, journal.confirm)

    def list_curves(self, metric: str, since: int) -> tuple[int, dict[str, Any]]:
        """The curves of a metric, by arm, that have changed since a renewal (0: all); and the renewal that this is."""
        assert self._arms is not None
        every = self._portions.every
        chosen: dict[int, dict[int, list[int]]] = {}
        wanted = {row["arm"] for group in self.summary["conditions"] for row in group["settings"]}
        stale = {
            arm
            for arm in wanted
            if self._changed[arm] > since and self._curves.get((arm, metric), (0, None))[0] < self._changed[arm]
        }
        for place, portion in enumerate(every if stale else []):
            for column, (run, outcome) in enumerate(zip(portion.runs.tolist(), portion.outcome, strict=True)):
                arm = self._arms.of_run.get(run, -1)
                if arm in stale and not (portion.ended and outcome is None):  # a run that failed doesn't count
                    chosen.setdefault(arm, {}).setdefault(place, []).append(column)
        for arm in stale:
            members = {place: np.array(columns) for place, columns in chosen.get(arm, {}).items()}
            curve = make_curve(every, members, metric) if members else None
            self._curves[arm, metric] = self._changed[arm], None if curve is None else _write_curve(curve)
        found = {str(arm): self._curves[arm, metric][1] for arm in sorted(wanted) if self._changed[arm] > since}
        return self._count, found

    def _summarize(self, state: SweepState, question: str | None, confirm: int | None) -> dict[str, Any]:
        assert self._arms is not None
        standings, criterion = self._standings
        going_on = Counter(
            arm
            for portion in self._portions.running.values()
            for run in portion.runs.tolist()
            if (arm := self._arms.of_run.get(run)) is not None
        )
        groups = _list_groups(self._arms, standings, going_on)
        metrics = [name for name in WATCHED if any(name in portion.values for portion in self._portions.every)]
        updates = [portion.updates for portion in self._portions.every if len(portion.updates)]
        return {
            "name": _text(state.name),
            "folder": _text(str(self._folder)),
            "question": None if question is None else _text(question),
            "state": _text(state.state),
            "wrong": state.wrong,
            "at_work": state.at_work,
            "ended": len(state.ended),
            "total": state.total,
            "share": min(len(state.ended) / state.total, 1.0) if state.total else 0.0,
            "trained": _count_done(state),
            "seconds": write_duration(state.seconds) if state.seconds else None,
            "left": write_duration(state.left) if state.left else None,
            "rate": None if state.rate is None else f"{state.rate:.3g}",
            "outcomes": [[_text(kind), count] for kind, count in state.outcomes.items()],
            "reused": state.reused,
            "stages": [[stage, *counts] for stage, counts in state.stages.items()],
            "stage": self._arms.stage,
            "running": _list_running(state),
            "more_blocks": max(len(state.running) - _MOST_BLOCKS, 0),
            "begins": state.begins,
            "process": _name_process(state),
            "mending": None if state.mending is None else [_text(part) for part in state.mending],
            "failures": _list_failures(state, self._look.jobs),
            "failed": len(state.failed),
            "criterion": None if criterion is None else _text(str(criterion)),
            "rule": RULE,
            "confirm": confirm,
            "conditions": groups[:_MOST_CONDITIONS],
            "more_conditions": max(len(groups) - _MOST_CONDITIONS, 0),
            "metrics": [[name, find_display(name).label, find_display(name).scale] for name in metrics],
            "logarithmic": bool(updates) and are_logarithmic(max(updates, key=len)),
            "at": time.strftime("%H:%M:%S"),
        }


def _count_done(state: SweepState) -> float:
    """The share of all work that is done, runs that go on by the part of theirs."""
    done = len(state.ended) + sum(one.runs * one.share for one in state.running.values())
    return min(done / state.total, 1.0) if state.total else 0.0


def _list_groups(arms: Arms, standings: Sequence[Standing], going_on: Mapping[int, int]) -> list[dict[str, Any]]:
    """The settings of each condition, best first; then those of which a run is trained, then others, in their order.

    Of many, those of which no run was begun are counted alone.
    """
    groups: dict[str, list[int]] = {}
    for arm, condition in enumerate(arms.conditions):
        groups.setdefault(condition, []).append(arm)
    found = []
    for condition, members in groups.items():
        ranks = {arm: standings[arm].rank for arm in members}
        order = sorted(members, key=lambda arm: (ranks[arm] is None, ranks[arm] or 0, not going_on.get(arm, 0)))
        begun = sum(ranks[arm] is not None or arm in going_on for arm in members)
        listed = order[: _FEW_ARMS if len(members) <= _FEW_ARMS else min(begun, _MOST_ARMS)]
        ended = [arm for arm in members if standings[arm].ended]
        lead = standings[order[0]]
        best = order[0] if len(ended) > 1 and (lead.solved or math.isfinite(lead.loss[1])) else None
        counts = [standings[arm].ended for arm in ended]
        found.append(
            {
                "condition": _text(condition),
                "settings": [
                    _write_standing(arm, members.index(arm), arms.settings[arm], standings[arm])
                    | {"going_on": going_on.get(arm, 0)}
                    for arm in listed
                ],
                "count": len(members),
                "more": max(begun - len(listed), 0),
                "not_begun": len(members) - max(begun, len(listed)),
                "best": best,
                "compared": len(ended),
                "fewest": min(counts, default=0),
                "most": max(counts, default=0),
            }
        )
    return found


def _write_standing(arm: int, place: int, setting: str, found: Standing) -> dict[str, Any]:
    low, middle, high = (_number(value) for value in found.loss.tolist())
    return {
        "arm": arm,
        "look": place,
        "setting": _text(setting) or "all runs",
        "runs": found.runs,
        "ended": found.ended,
        "diverged": found.diverged,
        "failed": found.failed,
        "given_up": found.given_up,
        "solved": found.solved,
        "share": [_number(100 * value) for value in (found.share.value, found.share.low, found.share.high)],
        "by": found.by,
        "loss": [low, middle, high],
    }


def _list_running(state: SweepState) -> list[list[Any]]:
    running = [*state.running.items()][:_MOST_BLOCKS]
    return [[_text(name), one.runs, one.update, one.last, round(one.share, 4)] for name, one in running]


def _list_failures(state: SweepState, jobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Why runs failed, the most frequent reason first, with some of the runs."""
    if not state.failed:
        return []
    names = {job["number"]: job["name"] for job in jobs}
    reasons = Counter[str]()
    whose: dict[str, list[str]] = {}
    for row in state.failed:
        why = _text(tell_why(row))
        reasons[why] += 1
        if len(named := whose.setdefault(why, [])) < _MOST_NAMES:
            named.append(_text(str(names.get(row["run"], row["run"]))))
    return [{"why": why, "count": count, "runs": whose[why]} for why, count in reasons.most_common(_MOST_REASONS)]


def _name_process(state: SweepState) -> str | None:
    if not state.at_work or state.sign is None:
        return None
    seen = max(time.time() - state.sign.seen, 0.0)
    ago = "" if seen < 10 else f", seen {seen:.0f} s ago"
    return _text(f"{state.sign.pid} on {state.sign.host}{ago}")


def _text(text: str) -> str:
    """A text of others, on one line."""
    shown = make_printable(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _number(value: float) -> float | str | None:
    """A number that JSON has; None is nan."""
    if math.isnan(value):
        return None
    return float(f"{value:.5g}") if math.isfinite(value) else "infinite"


def _write_curve(curve: Curve) -> dict[str, Any]:
    low, middle, high = (_write_numbers(column.tolist()) for column in curve.quartiles.T)
    counts = curve.counts.tolist()
    return {"updates": curve.updates.tolist(), "low": low, "median": middle, "high": high, "runs": counts}


def _write_numbers(values: Iterable[float]) -> list[float | str | None]:
    return [_number(value) for value in values]


def is_shown(metric: str) -> bool:
    """Whether curves of a metric can be asked for."""
    return metric in WATCHED
