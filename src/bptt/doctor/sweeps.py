"""Sweeps and runs in ./multirun that were broken off, or that the store does not have."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bptt.doctor.finding import Finding, Situation, write_command

if TYPE_CHECKING:
    from bptt.tracking.folder.sweep import SweepFolder

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
        yield from _examine_left(archive, shown)
    except (ArchiveError, OSError) as error:
        means = "it can neither go on nor be reported as it is; `bptt rm` deletes it"
        yield Finding(
            mark="wrong", subject=str(shown), says=str(error), means=means, command=write_command("bptt", "rm", shown)
        )


def _examine_left(archive: "SweepFolder", shown: Path) -> Iterator[Finding]:
    from bptt.sweeps.search.search import going_on
    from bptt.tracking.provenance.digest import compute_version

    journal = archive.journal
    unsent = len(archive.blocks() - archive.stored()) if journal.experiment is not None else 0
    missing = 0 if journal.status == "FINISHED" else archive.count() - len(archive.ended())
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
            command=write_command("bptt", "sync", shown) + _write_allow(archive.jobs()[0].config),
        )


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
    if journal.status not in ("RUNNING", "KILLED") or is_locked(folder / LOCK):
        return
    same = journal.numerical_version == compute_version()
    yield Finding(
        mark="note",
        subject=str(shown),
        says="was broken off",
        means="it can go on to the same bits" if same else "another version of bptt began it, which alone can go on",
        command=write_command("bptt", "resume", shown) + _write_allow(read_config(folder)) if same else "",
    )
