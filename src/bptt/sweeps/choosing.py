"""The stages that follow a sweep's first runs: what those chose is trained, recorded as part of the same sweep."""

import itertools
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from bptt.analysis.choosing import rank_groups
from bptt.analysis.chosen import list_best
from bptt.analysis.sweep import load_sweep
from bptt.analysis.tables import SEED
from bptt.sweeps.jobs.arrangement import arrange
from bptt.sweeps.jobs.plan import PlannedRun
from bptt.sweeps.jobs.stages import find_next, plan_confirmation, plan_results
from bptt.sweeps.session import Session
from bptt.tracking.folder.sweep import Stage
from bptt.tracking.store.address import StoreError

if TYPE_CHECKING:
    from bptt.analysis.sweep import Sweep

_WHAT = {"result": "with the values that were tuned for them", "confirming": "that confirm the best setting"}


def train_following(session: Session, allow: Collection[str] = ()) -> None:
    """Train every stage that is still to come. allow: packages whose classes the configurations may name.

    Raises what `Session.train` does.
    """
    while (stage := find_next(session.journal, session.jobs, session.results)) is not None:
        session.wait_for_store()
        planned = _plan(session, stage, load_sweep(session.archive.folder), allow)
        journal = session.journal
        arranging = partial(
            arrange,
            planned,
            first=len(session.jobs),
            next_block=itertools.count(1 + max([*session.archive.blocks(), *(job.block for job in session.jobs)])),
            workers=session.wanted,
            keys=list(dict.fromkeys([*journal.swept, SEED])),
            stage=stage,
        )
        try:
            arranged = arranging(store=session.store if journal.reuse else None)
        except StoreError as error:
            session.reporter.say(f"{error}; what the store has already is not known, and all of these are trained")
            arranged = arranging(store=None)
        session.extend(arranged.jobs)
        for block, results in arranged.list_reused():
            session.keep(block, results)
        session.reporter.say(f"{len(planned):,} runs {_WHAT[stage]}")
        session.train(arranged.runs, arranged.blocks)


def _plan(session: Session, stage: Stage, sweep: "Sweep", allow: Collection[str]) -> list[PlannedRun]:
    if session.journal.solved is None:
        # What chose the values is what the result is measured by.
        session.note(solved=str(sweep.solved))
    if stage == "result":
        return plan_results(session.jobs, session.journal, list_chosen(session, sweep), allow)
    assert session.journal.confirm is not None
    return plan_confirmation(session.jobs, list_best(sweep), session.journal.confirm, allow)


def list_chosen(session: Session, sweep: "Sweep") -> list[int]:
    """Of each setting that is tuned, the place of the combination of values that did best."""
    chosen = []
    for setting in session.journal.tuning:
        place_of = {number: place for place, trial in enumerate(setting.trials) for number in trial}
        runs = sweep.runs[sweep.runs["run"].isin(list(place_of))].sort_values("run", kind="stable")
        chosen.append(int(rank_groups(runs, [place_of[int(run)] for run in runs["run"]]).index[0]))
    return chosen
