"""What the command line does with runs and sweeps that are there, from Python: a function each.

A source is a folder, a name or whatever else `bptt.load` takes, or what was trained or loaded. Whatever is wrong is an
exception with the line that the command line would print. The current folder is never changed.
"""

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from bptt.analysis.sweep import Sweep, pick_best
from bptt.python.composing import list_overrides, place_data
from bptt.python.progress import choose_reporter
from bptt.python.reopening import choose_folder, end_kept, find_sweep_folder, hold_folder, resume_kept
from bptt.python.run import TrainedRun
from bptt.python.sweep import TrainedSweep, load_kept
from bptt.python.sweeping import ask_for
from bptt.python.training import take_trained
from bptt.sweeps.measuring import measure_missing, plan_measuring
from bptt.sweeps.planning import plan_search, plan_sweep
from bptt.sweeps.removing import choose_removed_folder, find_removed, remove_sweep
from bptt.sweeps.reproduce import NotCompared, Verdict
from bptt.sweeps.reproduce import reproduce as train_recorded
from bptt.sweeps.restoring import (
    Difference,
    Patience,
    compare_run,
    compare_sweep,
    restore_run,
    restore_sweep,
    send_measures,
)
from bptt.sweeps.single import illustrate_run, resume_single
from bptt.sweeps.stored import OWN
from bptt.sweeps.workers.interrupts import Interrupts
from bptt.sweeps.workers.pool import WorkerSettings
from bptt.tracking.folder.run import read_journal
from bptt.tracking.folder.sweep import SweepFolder, is_sweep
from bptt.tracking.history.find import LATEST, Source, SourceError, find, find_past_runs, list_past_runs
from bptt.tracking.store.address import resolve_address
from bptt.watch.look import RunState, SweepLook, SweepState, look_at_run
from bptt.watch.server import LiveServer, open_page

if TYPE_CHECKING:
    import pandas as pd

    from bptt.configuration.measuring import Kind

Recorded = str | Path | TrainedRun | Sweep
_WHEN: Final = ("first", "last")


def resume(
    source: Recorded,
    *,
    allow: Collection[str] = (),
    uri: str | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> TrainedRun | TrainedSweep:
    """Go on with a run or a sweep that was interrupted or killed, to the same bits; what has come of it.

    allow    packages whose classes its record may name
    uri      of the store; None: the one that it was begun in
    workers  of a sweep, how many; None: as it was begun with

    Raises ResumeError and ArchiveError where it can't go on, and StoreError where it may not be sent to its store.
    """
    folder, address = choose_folder(source), _locate(uri)
    reporter, allow = choose_reporter(progress), _join_allowed(source, allow)
    if is_sweep(folder):
        settings = {} if workers is None else {"workers": workers}
        summary = resume_kept(folder, reporter, settings, allow, address)
        _warn_unstored(summary.unstored, folder)
        return load_kept(folder, getattr(source, "kept", None), allow)
    trained = resume_single(folder, allow, reporter, address)
    if trained is None:
        return load_kept(folder, getattr(source, "kept", None), allow).run()
    illustrate_run(trained, reporter)
    _warn_unstored(trained.ended.unstored, folder)
    return take_trained(trained, getattr(source, "kept", None))


def status(source: Recorded = LATEST) -> SweepState | RunState:
    """How far a sweep or a run is, how fast, what failed and what time is left, from its folder alone.

    While it is trained, by this or another process, and after it. Raises SourceError where its folder is not here,
    ArchiveError and ResumeError where it can't be read.
    """
    folder = choose_folder(source)
    return SweepLook(folder).take() if is_sweep(folder) else look_at_run(folder)


def measure(
    source: Recorded,
    kinds: "Sequence[Kind] | None" = None,
    *,
    at: Sequence[Literal["first", "last", "all"] | int] = _WHEN,
    allow: Collection[str] = (),
    workers: int | None = None,
) -> TrainedSweep:
    """Measure the dynamics of the networks that runs have left; the runs with them, in `measures` and in `runs`.

    kinds    lyapunov, jacobian, sharpness, fixed_points, noise_scale, truncation_bias; None: the usual ones
    at       when: `first`, the start; `last`, the end; `all` that was kept; updates
    workers  how many measure at a time; None: one per core, or none where there is little

    Raises SourceError and ArchiveError. What can't be measured of a run is warned of.
    """
    found = _find_source(source)
    folder = found.recording.head.folder
    if folder is None:
        raise SourceError(f"{found.name}: its folder, which has the weights, is not here")
    allow = _join_allowed(source, allow)
    with hold_folder(folder):
        measuring = plan_measuring(found, kinds, at, allow)
        settings = WorkerSettings(workers=workers or (1 if measuring.is_short else None))
        with Interrupts() as interrupts:
            failed = measure_missing(measuring, settings, interrupts, lambda _more: None) if measuring.missing else {}
        _warn_unstored(send_measures(folder.absolute(), None, Patience(lambda _line: None)), folder)
    for line in (*measuring.notes, *(f"{name}: {why.strip().splitlines()[-1]}" for name, why in failed.items())):
        warnings.warn(line, stacklevel=2)
    return load_kept(folder, getattr(source, "kept", None), allow)


def reproduce(
    source: Recorded,
    *,
    tolerance: float | None = None,
    allow: Collection[str] = (),
    uri: str | None = None,
    progress: bool | None = None,
) -> "pd.DataFrame":
    """Train runs again from their records alone, and compare: a row per run: run, name, same, and what differs first.

    tolerance  None: the same are the same bits; otherwise relative, see `bptt.analysis.bits.compare_runs`
    """
    import pandas as pd

    if isinstance(source, str | Path):
        runs = find_past_runs(source, uri, pick_best)
    else:
        runs = list_past_runs(_find_source(source))
    verdicts = train_recorded(runs, tolerance, choose_reporter(progress), _join_allowed(source, allow))
    rows = [
        {"run": one.run.number, "name": one.run.name, "same": one.same, "differs": _describe(one)} for one in verdicts
    ]
    return pd.DataFrame(rows, columns=["run", "name", "same", "differs"])


def sync(source: Recorded, *, check: bool = False, allow: Collection[str] = (), uri: str | None = None) -> Difference:
    """Write what the store lacks of a run or a sweep; what that was, and what it lacks still.

    check  True: nothing is written
    uri    of another store than it was begun in

    Raises ArchiveError and StoreError; a store that does not answer is `trouble` of what is returned.
    """
    folder, address = choose_folder(source), _locate(uri)
    allow = _join_allowed(source, allow)
    patience, reporter = Patience(lambda _line: None), choose_reporter(False)
    with hold_folder(folder):
        if not is_sweep(folder):
            return (compare_run if check else restore_run)(folder, read_journal(folder), address, patience)
        found = (compare_sweep if check else restore_sweep)(SweepFolder.open(folder), address, patience)
        if not check and found.lacked and not found.left and found.trouble is None:
            found.trouble = end_kept(folder, reporter, allow, address).unstored
            found.left |= {OWN: "its end"} if found.trouble is not None else {}
        return found


def live(source: str | Path | Sweep = LATEST, *, port: int | None = None) -> LiveServer:
    """Serve the page that shows a sweep while it trains, after it and before it has begun, until its `close()`.

    source  `latest` follows whichever sweep was begun last, so that a page may be opened before `bptt.sweep` is called
    port    None: the first free one from 8200 on; 0: any free one

    Its `url` is what to open, on this machine. Raises SourceError where it is no sweep's, and
    bptt.watch.server.ServingError where the port is taken.
    """
    return open_page(source if isinstance(source, str) else str(find_sweep_folder(source)), port)


def remove(source: str | Path | Sweep, *, uri: str | None = None) -> list[str]:
    """Delete a sweep for good, without asking: its runs in the store, their artifacts, and its folder; what went.

    Raises RemovalError where it can't be told what is meant, ArchiveError and StoreError.
    """
    text = str(source if isinstance(source, str | Path) else find_sweep_folder(source))
    folder = choose_removed_folder(text)
    notes: list[str] = []
    if folder is None:
        return [*remove_sweep(find_removed(text, uri, None), notes.append), *notes]
    with hold_folder(folder):
        return [*remove_sweep(find_removed(text, uri, folder), notes.append), *notes]


def plan(*overrides: str | Sequence[str], config_dir: str | Path | None = None, **keys: Any) -> "Lines":
    """What `bptt.sweep` would do with the same arguments, without doing it: runs, what fuses, time and memory."""
    lines: list[str] = []
    with list_overrides(overrides, keys, place_data(None), swept=True) as (found, choices):
        folders = [folder for folder in (config_dir, choices.own) if folder is not None]
        asked = ask_for(found, folders)
        assert asked.config is not None
        assert asked.loader is not None
        if asked.searched is not None:
            plan_search(asked.searched, lines.append)
        else:
            plan_sweep(asked.config, asked.loader, asked.jobs or [], lines.append, lines.append)
    return Lines(lines)


class Lines(list[str]):
    """Lines of text, shown one below the other."""

    def __str__(self) -> str:
        return "\n".join(self)

    def __repr__(self) -> str:
        return str(self)


def _join_allowed(source: Recorded, allow: Collection[str]) -> tuple[str, ...]:
    """The packages whose classes a record may name: those that are said, and those whose objects were handed over."""
    own = source.allow if isinstance(source, TrainedRun | TrainedSweep) else ()
    return tuple(dict.fromkeys([*allow, *own]))


def _locate(uri: str | None) -> str | None:
    """An address as it is seen from here: what goes on may have been begun elsewhere."""
    return None if uri is None else resolve_address(uri).uri


def _find_source(source: Recorded) -> Source:
    """What is meant, to be read."""
    if isinstance(source, Sweep):
        numbers = frozenset(int(run) for run in source.runs["run"])
        return Source(source._recording, None, numbers)
    if isinstance(source, TrainedRun):
        return Source(source.past.recording, None, frozenset([source.past.place]))
    return find(source, choose=pick_best)


def _describe(verdict: Verdict) -> str:
    """What differs first, or why a run can't be compared; empty where it is the same."""
    found = verdict.found
    if isinstance(found, NotCompared):
        return found.why
    if found.first is None:
        return ""
    part, deviation = found.first
    return f"{part.name}: {deviation.then} then, {deviation.now} now"


def _warn_unstored(unstored: str | None, folder: Path) -> None:
    if unstored is not None:
        says = f"the store doesn't have all of it: {unstored}; later: bptt.sync({str(folder)!r})"
        warnings.warn(says, stacklevel=3)
