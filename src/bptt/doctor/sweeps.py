"""Sweeps and runs in ./multirun that were broken off, or that the store does not have."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bptt.doctor.finding import Finding, Situation, write_command

if TYPE_CHECKING:
    from bptt.tracking.folder.sweep import SweepFolder
    from bptt.tracking.store.whereabouts import Noted

_MOST: Final = 500  # the newest: a folder of years would take too long


def examine(situation: Situation) -> Iterator[Finding]:
    """Each sweep and each run that needs something, and how many there are."""
    from bptt.tracking.folder.files import JOURNAL, MULTIRUN, SINGLE_RUNS, SWEEP

    root = situation.folder / MULTIRUN
    sweeps = _find_newest(root.glob(f"*/{SWEEP}"))
    runs = _find_newest((root / SINGLE_RUNS).glob(f"*/{JOURNAL}"))
    yield Finding(subject="multirun/", says=f"{len(sweeps):,} sweeps and {len(runs):,} single runs")
    for folder in sweeps[:_MOST]:
        yield from _examine_sweep(folder, _shorten_path(folder, situation))
    for folder in runs[:_MOST]:
        yield from _examine_run(folder, _shorten_path(folder, situation))


def _find_newest(journals: Iterator[Path]) -> list[Path]:
    return [path.parent for path in sorted(journals, key=lambda path: path.stat().st_mtime, reverse=True)]


def _shorten_path(folder: Path, situation: Situation) -> Path:
    return folder.relative_to(situation.folder)


def _examine_sweep(folder: Path, shown: Path) -> Iterator[Finding]:
    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.folder.files import LOCK
    from bptt.tracking.folder.lock import is_locked
    from bptt.tracking.folder.sweep import SweepFolder

    try:
        if is_locked(folder / LOCK):
            yield Finding(subject=str(shown), says="is being trained")
            return
        archive = SweepFolder.open(folder)
        yield from _examine_place(folder, shown, archive.journal, archive.journal.parent)
        yield from _examine_left(archive, shown)
    except (ArchiveError, OSError) as error:
        means = "it can neither go on nor be reported as it is; `bptt rm` deletes it"
        yield Finding(
            mark="wrong", subject=str(shown), says=str(error), means=means, command=write_command("bptt", "rm", shown)
        )


def _examine_place(folder: Path, shown: Path, journal: "Noted", run_id: str | None) -> Iterator[Finding]:
    """Whether a folder was copied or moved out of its project, or its project away from the store."""
    from bptt.tracking.store.whereabouts import describe_lost, find_whereabouts

    where = find_whereabouts(folder, journal, run_id)
    if where.home is None:
        means = "it can be reported, but neither go on nor be sent to a store"
        yield Finding(mark="note", subject=str(shown), says=describe_lost(shown, journal), means=means)
    for remark in where.list_remarks(shown):
        means = "`bptt resume` and `bptt sync` write there; `bptt rm` deletes runs there, but no original's"
        yield Finding(mark="note", subject=str(shown), says=remark.removeprefix(f"{shown}: "), means=means)


def _examine_left(archive: "SweepFolder", shown: Path) -> Iterator[Finding]:
    from bptt.tracking.folder.sweep import going_on
    from bptt.tracking.provenance.digest import compute_version

    journal = archive.journal
    unsent = len(archive.blocks() - archive.stored()) if journal.uri is not None else 0
    missing = 0 if journal.status == "FINISHED" else archive.count() - sum(1 for _ in archive.ended())
    if missing and not journal.search:
        says = f"{missing:,} of {archive.count():,} runs are missing"
        if journal.numerical_version == compute_version():
            means = "it was broken off, and can go on to the same bits"
            command = write_command("bptt", "resume", shown) + _write_allow(archive.jobs()[0].config)
        else:
            means, command = "another version of bptt began it, which alone can go on", ""
        yield Finding(mark="note", subject=str(shown), says=says, means=means, command=command)
    elif missing or (journal.search and journal.status in ("RUNNING", "KILLED")):
        again = write_command(*going_on(journal.command, archive.folder))
        means = "the search was broken off; it goes on with what its study knows"
        yield Finding(mark="note", subject=str(shown), says="not at its end", means=means, command=again)
    if unsent:
        yield Finding(
            mark="wrong",
            subject=str(shown),
            says=f"the store has not got {unsent} of its {len(archive.blocks())} blocks",
            means="what was trained is here, but not in MLflow",
            command=_write_sync(shown, journal.uri) + _write_allow(archive.jobs()[0].config),
        )
    elif journal.uri is not None:
        own = [] if journal.parent is None else [journal.parent]
        ids = [*own, *archive.run_ids().values()]
        yield from _examine_stored(archive.folder, journal, journal.parent, ids, shown)


def _examine_stored(
    folder: Path, journal: "Noted", own: str | None, run_ids: Sequence[str], shown: Path
) -> Iterator[Finding]:
    """Whether a store that is a file still has what it had; a server, which takes longer, `bptt sync --check` asks."""
    from bptt.tracking.store.address import StoreError
    from bptt.tracking.store.opening import count_lost
    from bptt.tracking.store.whereabouts import find_whereabouts

    try:
        address = find_whereabouts(folder, journal, own).address
        database = None if address is None else address.database
        lost = 0 if database is None else count_lost(database, run_ids)
    except StoreError:  # what is wrong with it is told of the store, or by `bptt sync`
        return
    if lost:
        yield Finding(
            mark="wrong",
            subject=str(shown),
            says=f"the store lacks {lost:,} of its {len(run_ids):,} run{'s'[: len(run_ids) != 1]}",
            means="they were deleted or lost there; the folder has them",
            command=_write_sync(shown, journal.uri),
        )


def _write_sync(shown: Path, uri: str | None) -> str:
    from bptt.tracking.store.address import is_named

    return write_command("bptt", "sync", shown, *([] if uri is None or is_named(uri) else ["--store", uri]))


def _write_allow(config: Mapping[str, Any]) -> str:
    return "".join(f" --allow {write_command(package)}" for package in config.get("allow") or ())


def _examine_run(folder: Path, shown: Path) -> Iterator[Finding]:
    from bptt.tracking.folder.files import LOCK
    from bptt.tracking.folder.lock import is_locked
    from bptt.tracking.folder.run import ResumeError, read_config, read_journal
    from bptt.tracking.provenance.digest import compute_version

    try:
        journal = read_journal(folder)
    except (ResumeError, OSError) as error:
        yield Finding(mark="note", subject=str(shown), says=str(error), means="nothing can be done with it")
        return
    if is_locked(folder / LOCK):
        return
    yield from _examine_place(folder, shown, journal, journal.run_id)
    if journal.status != "RUNNING" and not journal.recorded:
        yield Finding(
            mark="wrong",
            subject=str(shown),
            says="the store has not got it",
            means="what was trained is here, but not in MLflow",
            command=_write_sync(shown, journal.uri),
        )
    elif journal.run_id is not None and journal.status != "RUNNING":
        yield from _examine_stored(folder, journal, journal.run_id, [journal.run_id], shown)
    if journal.status not in ("RUNNING", "KILLED"):
        return
    same = journal.numerical_version == compute_version()
    yield Finding(
        mark="note",
        subject=str(shown),
        says="was broken off",
        means="it can go on to the same bits" if same else "another version of bptt began it, which alone can go on",
        command=write_command("bptt", "resume", shown) + _write_allow(read_config(folder)) if same else "",
    )
