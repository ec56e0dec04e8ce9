"""What was recorded of a sweep, a run or several, as tidy tables; which runs solved their task, which did best."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from bptt.analysis.bits import hash_runs
from bptt.analysis.ranking import choose_best
from bptt.analysis.search import Trials
from bptt.analysis.solved import Solved
from bptt.analysis.tables import (
    ACCURACY,
    FIRST,
    KEPT_UPDATE,
    LOSS,
    SEED,
    choose_conditions,
    drop_seed,
    list_kept,
    stack_parameters,
    tabulate_runs,
    take_kept_loss,
)
from bptt.tracking.folder.block import Tables
from bptt.tracking.folder.jobs import Stage
from bptt.tracking.history.base import Head, History, MemberColumns, in_order_of_mention
from bptt.tracking.history.find import Source, SourceError, find

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from bptt.core.run import Record
    from bptt.tasks.own_data.preparation import Preparation
    from bptt.tracking.folder.sweep import Searched


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep left, so far; or a single run, or runs that were asked for.

    folder      of its archive, or of the single run; None where it was read from a store
    run_id      of the sweep's own run, or of the single run, in the store; None unknown
    swept       the keys whose values differ between these runs
    command     that repeats it, as words; empty unknown
    began, ended  seconds since 1970; None unknown
    seconds     how long commands have worked on it, without the pauses between them; None unknown
    status      FINISHED, FAILED (some run did), KILLED (some run is missing), RUNNING
    question    what it asks; None: nothing was said
    solved      the criterion by which a run has solved its task
    conditions  the swept keys across whose values nothing is ranked or compared, see `choose_conditions`
    tuned       the keys of which each setting chose values, on seeds of their own; they are not among the swept ones
    stages      what else was trained, each as a sweep of its own: `tuning`, by which those values were chosen;
                `confirming`, the best setting of each condition on fresh seeds
    runs        a row per run:
                run, name, status, outcome, updates (trained), what was swept, the metrics as recorded last;
                loss/test, accuracy/test, baseline  where some run has them: what its test set gave when it ended, and
                what the best answer costs that does not depend on the sequence;
                rmse/eval, mae/eval, r2/eval, balanced_accuracy/eval, log_loss/eval, and of test sets  where a task says
                what its targets are: how well the network that is kept fits them;
                kept/update, kept/loss/eval, kept/accuracy/eval  of runs with train.keep=best: which network is kept;
                best/loss/eval, best/accuracy/eval  the smallest loss, the largest accuracy, that were recorded;
                solved         whether the criterion was ever met;
                solved_update  the first recorded update that meets it; nan: none does;
                solved_after   the recorded update before that one, 0: there is none. It was solved later than this;
                observed       the updates until then, or until the run ended (censored); a run that diverged unsolved
                               is censored at the updates that it was to be trained for; nan: it has not ended;
                error          the traceback of a run that FAILED; digest; run_id in the store;
                tags.NAME      of each tag that a user gave, tags.study=pilot: its text;
                seconds        wall time: an equal share of that of its block; nan where it was taken from elsewhere;
                dynamics/…, first/dynamics/…  what `bptt measure` found of the last weights and of those at the start
                A run that FAILED or has not ended has no outcome, nor one that halving gave up: where some was,
                given_up says at which update and why.
    history     a row per run and recorded update: run, update, metrics
    searched    what a search asked for, or what halving compared by; None: neither
    published   numbers and claims of a source that it is held against, as configured; None: none
    provenance  what it was made with; empty unknown
    duplicates  how many jobs were left out since another one is the same run
    """

    name: str
    folder: Path | None
    run_id: str | None
    swept: list[str]
    command: list[str]
    began: float | None
    ended: float | None
    status: str
    question: str | None
    solved: Solved
    conditions: list[str]
    runs: pd.DataFrame
    history: pd.DataFrame
    provenance: dict[str, Any]
    duplicates: int
    tuned: list[str] = field(default_factory=list)
    stages: Mapping[str, "Sweep"] = field(default_factory=dict)
    seconds: float | None = None
    searched: "Searched | None" = None
    published: Mapping[str, Any] | None = None
    recording: History | None = field(default=None, repr=False, compare=False)

    @cached_property
    def measures(self) -> pd.DataFrame:
        """A row per run and update that `bptt measure` looked at: run, update (0: the start), `dynamics/…`, of which
        `dynamics/lyapunov_spectrum` has arrays; empty where nothing was measured.
        """
        measures = self._recording.measures()
        return measures[measures["run"].isin(self._numbers)].reset_index(drop=True)

    @cached_property
    def trials(self) -> Trials:
        """Its runs as trials, where it is a search."""
        return Trials(self.runs, self.searched, self.record)

    @cached_property
    def times(self) -> pd.DataFrame:
        """When each run that has come to some end was trained: run, began, ended, in seconds since 1970."""
        runs = self._recording.tables(self._numbers).runs
        return runs.loc[runs["run"].isin(self._numbers), ["run", "began", "ended"]].reset_index(drop=True)

    @property
    def setting_keys(self) -> list[str]:
        """The swept keys that make a setting: neither the seed nor a condition."""
        return [key for key in drop_seed(self.swept) if key not in self.conditions]

    @cached_property
    def gradient_flow(self) -> pd.DataFrame:
        """A row per run, recorded update and lag: run, update, lag, norm; read when it is first asked for."""
        return self._flow(ends_only=False)

    @cached_property
    def flow_ends(self) -> pd.DataFrame:
        """`gradient_flow` at each run's first and last recorded update alone."""
        return self._flow(ends_only=True)

    @cached_property
    def run_hashes(self) -> "NDArray[np.uint8]":
        """A hash of all that was recorded of each run, (runs, 32), see `hash_results`."""
        return hash_runs(self.runs, self.history)

    @cached_property
    def configs(self) -> dict[int, dict[str, Any]]:
        """Run → its whole resolved configuration."""
        return {run: self._recording.config(run) for run in self._numbers}

    @cached_property
    def overrides(self) -> dict[int, list[str]]:
        """Run → what makes its configuration, as for `bptt train`; empty unknown."""
        return {run: self._recording.overrides(run) for run in self._numbers}

    def parameters(self, update: int | None = None) -> dict[str, "NDArray[Any]"]:
        """Name → (runs, …): weights, in the order of `runs`; update: after which, of `snapshots`; None: the last ones.

        Raises ValueError with one line where a run left none, or none of that update, or where shapes differ.
        """
        return stack_parameters(self.name, list(self.runs["name"]), self._recording.records(self._numbers), update)

    def record(self, number: int) -> "Record | None":
        """What a run recorded, its weights too; None: nothing."""
        return self._recording.record(number)

    def list_preparations(self) -> "list[Preparation]":
        """How data of one's own were prepared for the runs, each way once; none of tasks that make their own."""
        return [] if self.recording is None else self.recording.preparations()

    @property
    def snapshots(self) -> list[int]:
        """The updates after which there are weights of every run: as `train.snapshots` says, 0 being the start."""
        return list_kept(self._recording.records(self._numbers))

    @property
    def _numbers(self) -> list[int]:
        return [int(run) for run in self.runs["run"]]

    @property
    def _recording(self) -> History:
        if self.recording is None:
            raise ValueError(f"{self.name}: not read from anywhere")
        return self.recording

    def _flow(self, ends_only: bool) -> pd.DataFrame:
        return self._recording.gradient_flow(self._numbers, ends_only)


def hash_results(sweeps: Sequence[Sweep]) -> str:
    """Sixteen hexadecimal characters over all that was recorded of these sweeps' runs, to the bit: `results sha256`.

    Of every run its digest, how it ended, what there is one number of, and every metric at every recorded update; of
    stages too. Neither the order of the runs nor when, where and how fast they were trained counts.
    """
    every = [part for sweep in sweeps for part in (sweep, *sweep.stages.values())]
    runs = np.concatenate([sweep.run_hashes for sweep in every])
    found = sha256()
    for place, one in enumerate(runs[np.lexsort(runs.T[::-1])]):
        found.update(f"{chr(10) * (place > 0)}{one.tobytes().hex()}".encode())
    return found.hexdigest()[:16]


def load_sweep(
    source: str | Path,
    *,
    uri: str | None = None,
    solved: str | None = None,
    conditions: Sequence[str] | None = None,
) -> Sweep:
    """What was recorded of a source, see `bptt.tracking.history.find.find`.

    uri         of the store; None: the one that `bptt train` would use here
    solved      the criterion by which a run has solved its task, as `loss/eval<=0.01`; None: the sweep's own, else
                `Solved.default`
    conditions  the swept keys that make the task harder; None: the sweep's own, else those of the task

    The sweep's folder is read where it is there, and the MLflow store otherwise. Raises SourceError, ArchiveError and
    StoreError, each with one line for the user.
    """
    return load_found(find(source, uri, partial(pick_best, solved=solved, conditions=conditions)), solved, conditions)


def pick_best(
    recording: History, numbers: Sequence[int], solved: str | None = None, conditions: Sequence[str] | None = None
) -> list[int]:
    """Which of these runs did best, in each condition: of the best setting, by `rank_groups`, the run with the smallest
    last loss, or loss of the network that it keeps, of equals the first.

    Raises SourceError where none of them ended with a finite loss.
    """
    sweep = load_found(Source(recording, None, frozenset(numbers)), solved, conditions)
    loss = take_kept_loss(sweep.runs).where(sweep.runs["outcome"].notna())
    ended = sweep.runs.assign(loss=loss)[loss.notna() & ~loss.isin([float("inf")])]
    found = [
        ended[ended["run"].isin(group)].sort_values("loss", kind="stable")["run"]
        for group in choose_best(sweep.runs, drop_seed(sweep.swept), sweep.conditions)
    ]
    best = [int(runs.iloc[0]) for runs in found if len(runs)]
    if not best:
        raise SourceError(f"{recording.head.name}:best: no run ended with a finite loss")
    return best


def load_found(source: Source, solved: str | None = None, conditions: Sequence[str] | None = None) -> Sweep:
    """What was recorded of a source that was found; see `load_sweep`."""
    recording, head = source.recording, source.recording.head
    every = recording.tables(recording.numbers)
    # Of the whole, so that parts of one sweep are measured alike.
    criterion = _read_criterion(solved or head.solved, every)
    if conditions is not None and (unknown := [key for key in conditions if key not in drop_seed(head.swept)]):
        raise SourceError(_refuse_condition(unknown[0], drop_seed(head.swept)))
    members = MemberColumns.of(recording.members)
    if len(source.numbers) < len(members):
        members = members.pick(np.array([number in source.numbers for number in members.numbers.tolist()], bool))
    members = _name_choices(members, recording)
    measures = recording.measures()
    stages = _part_stages(members)
    # As long as only values were tuned, or where some of these runs were asked for, they are the sweep.
    own = next((stages[stage] for stage in ("result", "tuning", "confirming") if len(stages[stage])), members)

    def make(members: MemberColumns, others: Mapping[str, Sweep]) -> Sweep:
        tuned = head.tuned if len(members) and members.stages[0] != "tuning" else []
        keys = [key for key in dict.fromkeys([*head.swept, SEED]) if key not in tuned]
        swept = [key for key in keys if _differ(members.swept.get(key, ()))]
        return Sweep(
            name=source.name,
            folder=head.folder,
            run_id=head.run_id,
            swept=swept,
            command=head.command,
            began=head.began,
            ended=head.ended,
            seconds=_count_seconds(head),
            status=head.status,
            question=head.question,
            published=head.published,
            solved=criterion,
            searched=head.searched,
            conditions=choose_conditions(swept, head.conditions if conditions is None else conditions),
            tuned=tuned,
            stages=others,
            duplicates=head.duplicates,
            provenance=recording.provenance(),
            recording=recording,
            **_tabulate(members, every, criterion, measures),
        )

    others = {stage: make(members, {}) for stage, members in stages.items() if len(members) and members is not own}
    return make(own, {stage: sweep for stage, sweep in others.items() if stage != "result"})


def _part_stages(members: MemberColumns) -> dict[Stage, MemberColumns]:
    """The members of each stage."""
    stages = np.array(members.stages, object)
    return {stage: members.pick(stages == stage) for stage in get_args(Stage)}


def _differ(values: Iterable[object]) -> bool:
    """Whether two of the values differ."""
    coming = iter(values)
    first = next(coming, None)
    return any(value != first for value in coming)


def _count_seconds(head: Head) -> float | None:
    """Of what was recorded before that was noted, from the begin to the end."""
    if head.seconds is not None or head.began is None or head.ended is None:
        return head.seconds
    return head.ended - head.began


def _name_choices(members: MemberColumns, recording: History) -> MemberColumns:
    """The members, where some swept a choice, as `model`, and others left it to the sweep: those with its name."""
    partial = [key for key, texts in members.swept.items() if "." not in key and key != SEED and None in texts]
    if not partial:
        return members

    swept, named = {key: [*texts] for key, texts in members.swept.items()}, [*members.named]
    for place, number in enumerate(members.numbers.tolist()):
        missing = [key for key in sorted(partial) if swept[key][place] is None]
        config = recording.config(number) if missing else {}
        targets = {key: str((config.get(key) or {}).get("_target_", "")) for key in missing}
        found = {key: target.split(".")[-2] for key, target in targets.items() if "." in target}
        named[place] += tuple(found)
        for key, text in found.items():
            swept[key][place] = text
    return replace(members, swept={key: swept[key] for key in in_order_of_mention(named)}, named=named)


def _tabulate(
    members: MemberColumns, every: Tables, criterion: Solved, measures: "pd.DataFrame"
) -> dict[str, "pd.DataFrame"]:
    """`Sweep.runs` and `Sweep.history` of some of the runs."""
    numbers, found, history = members.numbers, every.runs, every.history
    if not found["run"].isin(numbers).all() or not history["run"].isin(numbers).all():
        history = history[history["run"].isin(numbers)].reset_index(drop=True)
        found = found[found["run"].isin(numbers)]
    runs = tabulate_runs(members, found, history)
    runs = _add_results(runs, history, criterion, members.updates)
    runs["digest"] = members.digests
    for name, texts in members.tags.items():
        runs[f"tags.{name}"] = texts
    came_to = found.set_index("run")
    for name in ("error", "run_id"):
        told = runs["run"].map(came_to[name]).astype(object)
        runs[name] = told.where(told.notna(), None)
    runs["seconds"] = runs["run"].map(came_to["seconds"])
    return {"runs": _add_measures(runs, measures), "history": history}


def _add_measures(runs: "pd.DataFrame", measures: "pd.DataFrame") -> "pd.DataFrame":
    """The runs with what was measured of their last weights, and of those at the start."""
    names = [name for name in measures if name not in ("run", "update") and measures[name].dtype != object]
    kept = runs[KEPT_UPDATE].fillna(runs["updates"]) if KEPT_UPDATE in runs else runs["updates"]
    ends = measures["run"].map(dict(zip(runs["run"], kept, strict=True)))
    for prefix, updates in ((FIRST, 0), ("", ends)):
        here = measures[measures["update"].eq(updates)].set_index("run")
        for name in names:
            values = runs["run"].map(here[name]).astype("float64")
            runs[prefix + name] = runs[prefix + name].fillna(values) if prefix + name in runs else values
    return runs


def _refuse_condition(key: str, swept: Sequence[str]) -> str:
    near = get_close_matches(key, swept, n=1)
    meant = f"; did you mean {near[0]}?" if near else f" (swept: {', '.join(swept) or 'nothing but seeds'})"
    return f"conditions={key}: must be a swept key{meant}"


def _read_criterion(text: str | None, every: Tables) -> Solved:
    if text is None:
        return Solved.default(every.history, every.runs)
    try:
        return Solved.parse(text, [name for name in every.history if name not in ("run", "update")])
    except ValueError as error:
        raise SourceError(str(error)) from None


def _add_results(
    runs: "pd.DataFrame", history: "pd.DataFrame", solved: Solved, wanted: list[int | None]
) -> "pd.DataFrame":
    """The runs with their best metrics, and when each has solved its task; wanted: updates that each was to take."""
    import pandas as pd

    by_run = history.groupby("run")
    columns = {}
    if LOSS in history:
        columns[f"best/{LOSS}"] = runs["run"].map(by_run[LOSS].min())
    if ACCURACY in history:
        columns[f"best/{ACCURACY}"] = runs["run"].map(by_run[ACCURACY].max())
    when = runs["run"].map(solved.first(history)).astype("float64").where(runs["outcome"].notna())
    before = history.loc[history["update"] < history["run"].map(when.set_axis(runs["run"])), ["run", "update"]]
    after = runs["run"].map(before.groupby("run")["update"].max()).astype("float64").fillna(0.0).where(when.notna())
    full = pd.Series(wanted, index=runs.index, dtype="float64").fillna(runs["updates"].max())
    ended = runs["updates"].astype("float64").where(runs["outcome"] != "diverged", full)
    return runs.assign(
        **columns,
        solved=when.notna(),
        solved_update=when,
        solved_after=after,
        observed=when.fillna(ended.where(runs["outcome"].notna())),
    )
