"""A sweep whose runs came to every kind of end, in a folder and in a store; nothing is trained for it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from bptt.core.run import Record
from bptt.sweeps.writer import Writer
from bptt.tracking.folder.block import RunResult
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal
from bptt.tracking.store.base import Store
from bptt.tracking.store.logs import SweepLog

UPDATES = 100


def remove_groups(path: Path) -> list[str]:
    """Leave out of a recorded configuration the groups that a run can do without, as it was before there were any."""
    config = OmegaConf.load(path)
    assert isinstance(config, DictConfig)
    removed = [name for name in ("schedule", "regularizer") if config.pop(name, None) is not None]
    OmegaConf.save(config, path)
    return removed


#: What is left of each run: its losses, its accuracies, and how it ended. Of the sixth nothing is, it never began.
LEFT: list[tuple[str, list[float], list[float], str, str]] = [
    ("solves its task", [1.0, 0.5, 0.1], [0.25, 1.0, 0.75], "FINISHED", "completed"),
    ("does not", [2.0, 0.5, 1.0], [0.5, 0.75, 0.25], "FINISHED", "completed"),
    ("diverges", [3.0, np.inf], [0.5, np.nan], "FINISHED", "diverged"),
    ("stops early", [4.0, 0.0], [0.5, 1.0], "FINISHED", "early_stopped"),
    ("fails on its way", [5.0], [0.0], "FAILED", "completed"),
    ("fails at once", [], [], "FAILED", ""),
    ("is pruned by a search", [6.0, 5.0], [0.0, 0.25], "KILLED", "completed"),
    ("was trained before", [7.0, 0.25, 0.125], [0.5, 0.5, 1.0], "FINISHED", "completed"),
]
#: Two in a block, but for what needed no training.
BLOCK = [0, 0, 1, 1, 2, 2, 3, 4, 5]
REUSED = "ab" * 16
_AT = [1, 40, UPDATES]


def record(losses: list[float], accuracies: list[float], outcome: str) -> Record | None:
    """What a run has left whose losses and accuracies were these at the updates 1, 40 and 100."""
    if not losses:
        return None
    points = len(losses)
    return Record(
        outcome=outcome,  # type: ignore[arg-type]
        updates=_AT[points - 1],
        history={
            "update": np.array(_AT[:points]),
            "loss/eval": np.array(losses),
            "accuracy/eval": np.array(accuracies),
        },
        flow=np.arange(points * 4.0).reshape(points, 4) / losses[0],
        parameters={"readout.weight": np.full((2, 1), losses[0]), "readout.bias": np.array([1 / 3])},
        state=np.full((1, 2), losses[0]),
        once={"baseline": 2.0} | ({} if outcome == "diverged" else {"loss/test": losses[-1] + 0.01}),
    )


def config(number: int) -> dict[str, Any]:
    """Of a run that was never to be trained."""
    return {
        "model": {"_target_": "bptt.core.models.lstm.LSTM" if number % 2 else "bptt.core.models.elman.Elman"},
        "optimizer": {"alpha": (number // 2) / 10},
        "train": {"updates": UPDATES},
        "seed": 0,
    }


def jobs() -> list[SweepJob]:
    """The runs of the sweep, and one that was never begun."""
    values = [{"model": "lstm" if n % 2 else "elman", "optimizer.alpha": str((n // 2) / 10)} for n in range(9)]
    return [
        SweepJob(
            number=number,
            name=f"alpha={swept['optimizer.alpha']} model={swept['model']}",
            digest=f"{number:016x}",
            block=BLOCK[number],
            swept=swept,
            overrides=[f"{key}={value}" for key, value in swept.items()],
            config=config(number),
        )
        for number, swept in enumerate(values)
    ]


def results(block: int) -> list[RunResult]:
    """How the runs of a block ended, which took two seconds."""
    members = [(number, LEFT[number]) for number in range(len(LEFT)) if BLOCK[number] == block]
    return [
        RunResult(
            job=number,
            status=status,  # type: ignore[arg-type]
            record=record(losses, accuracies, outcome),
            error="Traceback …\nRuntimeError: the planted error\n" if status == "FAILED" else None,
            began=1000.0 + 10 * block,
            ended=1002.0 + 10 * block,
            reused=REUSED if name == "was trained before" else None,
        )
        for number, (name, losses, accuracies, status, outcome) in members
    ]


def archived(folder: Path, **changes: Any) -> SweepFolder:
    """The folder of the sweep, which was killed before its last run."""
    given: dict[str, Any] = {
        "name": folder.name, "command": ["bptt", "train", "-m", "model=elman,lstm"], "began": 999.0, "uri": None,
        "experiment": None, "parent": None, "numerical_version": "v", "current_folder": "/nowhere",
        "swept": ["model", "optimizer.alpha"], "duplicates": 3, "status": "KILLED",
    }  # fmt: skip
    archive = SweepFolder.create(folder, SweepJournal(**given | changes), jobs())
    for block in range(5):
        archive.write_block(block, results(block))
    return archive


def stored(archive: SweepFolder, store: Store, tags: Mapping[str, str] | None = None) -> SweepLog:
    """The sweep in a store as well, where it goes on; what was trained before lies below another sweep there."""
    before = SweepLog.begin(store, "before", {}, "")
    journal = archive.journal
    own = SweepLog.begin(store, journal.name, tags or {}, "")
    from dataclasses import replace

    from bptt.tracking.store.runs import make_run

    earlier = make_run(journal, archive.jobs()[7], replace(results(4)[0], reused=None), {})
    before.write([replace(earlier, key=REUSED)])
    before.close("FINISHED", None, {}, {})
    archive.write_journal(replace(journal, parent=own.parent, uri=store.address.shown))
    writer = Writer(archive, archive.journal, archive.jobs(), own, tags or {})
    for block in range(5):
        writer.put(block, results(block))
    writer.finish(print)
    assert writer.trouble is None
    return own


def strip_digests(folder: Path) -> None:
    """Make the folder of a sweep or a run one of before there were digests."""
    for path in folder.glob("blocks/*/digests.json"):
        path.unlink()
    for path in (folder / "sweep.json", folder / "run.json", folder / "provenance.json", *folder.glob("stored/*")):
        if path.is_file() and (text := path.read_text()):
            noted = {key: value for key, value in json.loads(text).items() if key not in ("sha256", "sealed", "files")}
            path.write_text(json.dumps(noted, indent=1) + "\n")
    for path in folder.rglob("*.parquet"):
        table = pq.read_table(path)
        kept = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"bptt.sha256"}
        pq.write_table(table.replace_schema_metadata(kept or None), path)
