"""`python -m tests.faults.flips`: flips bits in the files of a sweep and of a run, and looks at what is read then."""

import argparse
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from bptt.analysis.report.sections.repeating import find_inputs
from bptt.analysis.sweep import load_sweep
from bptt.core.run import Record
from bptt.tracking.folder.block import ArchiveError, RunResult
from bptt.tracking.folder.files import CONFIG, write_record, write_text
from bptt.tracking.folder.jobs import SweepJob
from bptt.tracking.folder.run import GIVEN, RECORDED, Journal, compute_digests, write_journal
from bptt.tracking.folder.sweep import SweepFolder, SweepJournal
from bptt.tracking.history.find import find_past_runs
from bptt.tracking.provenance.environment import write_provenance
from tests.recording import strip_digests

METRICS = ("loss/train", "loss/eval", "accuracy/eval", "grad/norm", "grad/clipped", "grad/decay")


def record(seed: int, points: int = 40, lags: int = 12) -> Record:
    """What a run might have left."""
    rng = np.random.Generator(np.random.PCG64(seed))
    falling = np.exp(-np.arange(points) / 9)
    return Record(
        outcome="completed",
        updates=points,
        history={"update": np.arange(1, points + 1), **{name: falling * rng.random(points) for name in METRICS}},
        flow=rng.random((points, lags)),
        parameters={"cell.0.recurrent": rng.random((8, 8)), "readout.weight": rng.random((8, 1))},
        state=rng.random((1, 8)),
        once={"baseline": 0.25, "loss/test": float(rng.random())},
    )


def make_sweep(folder: Path, runs: int = 8, points: int = 40, lags: int = 12) -> Path:
    """The folder of a sweep that has ended, with four runs in a block."""
    jobs = [
        SweepJob(
            number=number,
            name=f"alpha=0.{number}",
            digest=f"{number:016x}",
            block=number // 4,
            swept={"optimizer.alpha": f"0.{number}"},
            overrides=[f"optimizer.alpha=0.{number}"],
            config={"seed": number, "train": {"updates": points}, "optimizer": {"alpha": number / 10}},
        )
        for number in range(runs)
    ]
    journal = SweepJournal(
        name="sweep", command=["bptt", "train", "-m"], began=1.0, uri=None, experiment=None, parent=None,
        numerical_version="v", current_folder="/", swept=["optimizer.alpha"], duplicates=0, status="FINISHED",
        solved="loss/eval<=0.01",
    )  # fmt: skip
    archive = SweepFolder.create(folder, journal, jobs)
    write_provenance(folder)
    for block in range(runs // 4):
        numbers = range(4 * block, 4 * block + 4)
        archive.write_block(
            block,
            [
                RunResult(
                    job=n, status="FINISHED", record=record(n, points, lags), error=None, began=1.0, ended=2.0 + block
                )
                for n in numbers
            ],
        )
        archive.mark_stored(block, {f"{n:032x}": f"{n + 7:032x}" for n in numbers})
    return folder


def make_run(folder: Path) -> Path:
    """The folder of a single run that has ended."""
    (folder / ".hydra").mkdir(parents=True)
    write_text(folder / ".hydra" / "overrides.yaml", "- seed=3\n- train.updates=40\n")
    write_text(folder / CONFIG, "seed: 3\ntrain:\n  updates: 40\noptimizer:\n  alpha: 0.25\n")
    write_provenance(folder)
    write_record(folder, record(3))
    journal = Journal(
        run_id="ab" * 16, uri=None, experiment=None, name="run", digest="d" * 16, numerical_version="v",
        current_folder="/", status="FINISHED", outcome="completed",
    )  # fmt: skip
    write_journal(folder, replace(journal, files=compute_digests(folder, (*GIVEN, *RECORDED))))
    return folder


def read_all(folder: Path) -> list[Any]:
    """All that the commands read of a folder, as they read it. Raises ArchiveError."""
    sweep = load_sweep(folder)
    found: list[Any] = [sweep.runs, sweep.history, sweep.gradient_flow, sweep.flow_ends, sweep.configs]
    found += [sweep.overrides, sweep.command, sweep.status, str(sweep.solved), sweep.provenance]
    found += [asdict(find_inputs(sweep))]
    for run in find_past_runs(folder):
        found += [run.name, run.run_id, run.digest, run.status, run.outcome, run.config, run.record]
    if (folder / "sweep.json").exists():
        archive = SweepFolder.open(folder)
        for number in sorted(archive.blocks()):
            found += [[asdict(result) for result in archive.results(number)]]
        found += [[asdict(result) for result in archive.ended()], archive.run_ids()]
    return [_freeze(value) for value in found]


def _freeze(value: Any) -> Any:
    """What can be compared, to the last bit."""
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes())
    if isinstance(value, dict):
        return tuple((key, _freeze(one)) for key, one in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_freeze, value))
    if hasattr(value, "columns"):
        return tuple((name, tuple(map(repr, value[name].tolist()))) for name in value)
    return _freeze(asdict(value)) if isinstance(value, Record) else repr(value)


def flip_bits(folder: Path, times: int, seed: int, read: Callable[[Path], Any] = read_all) -> Counter[str]:
    """Flip a bit of the folder's files, one file after the other, read it all, and put the bit back; what came of it.

    refused: in a line. same: what is read is what was written. silent: it is not, and nobody says so. Else: raised.
    """
    rng, right = random.Random(seed), read(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    came: Counter[str] = Counter()
    for number in range(times):
        path = files[number % len(files)]
        whole = path.read_bytes()
        bit = rng.randrange(8 * len(whole))
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            came["same" if read(folder) == right else "silent"] += 1
        except ArchiveError as error:
            came["refused" if "\n" not in str(error) else "refused in several lines"] += 1
        except Exception as error:
            came[f"{type(error).__name__} in {path.name}, bit {bit}"] += 1
        path.write_bytes(whole)
    assert read(folder) == right
    return came


def _measure_reading(folder: Path) -> float:
    """The least seconds, of five, in which all is read."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        load_sweep(folder)
        archive = SweepFolder.open(folder)
        for number in archive.blocks():
            archive.results(number)
        times.append(time.perf_counter() - began)
    return min(times)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.flips", description=__doc__)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for make in (make_sweep, make_run):
            folder, before = make(root / make.__name__), root / f"{make.__name__}_before"
            shutil.copytree(folder, before)
            strip_digests(before)
            for one in (before, folder):
                print(one.name, json.dumps(flip_bits(one, args.flips, args.seed)), flush=True)
        big = make_sweep(root / "big", runs=400, points=100, lags=50)
        small = root / "big_before"
        shutil.copytree(big, small)
        strip_digests(small)
        for one in (small, big):
            size = sum(path.stat().st_size for path in one.rglob("*") if path.is_file())
            print(f"{one.name}: {size:,} bytes, read in {_measure_reading(one):.3f} s", flush=True)


if __name__ == "__main__":
    main()
