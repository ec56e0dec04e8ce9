"""The other commands: arguments that they can't take, folders that are none, and archives that were damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bptt.tracking.folder.files import JOURNAL, SWEEP, dump_sealed, load_sealed
from tests.bad_input.case import Case, Place
from tests.bad_input.making import Given, all_of, folder, text

_BLOCK: Final = "blocks/000000"
_NEEDS = "the following arguments are required: "

_ARGUMENTS: Final = {
    "resume": f"bptt resume: {_NEEDS}FOLDER",
    "tune": f"bptt tune: {_NEEDS}--over",
    "tune --over a": "bptt tune: argument --over: a: must be KEY=VALUES",
    "tune --over a=1,2 --seeds x": "bptt tune: argument --seeds: invalid int value: 'x'",
    "tune --over a=1,2 tune={}": "bptt tune: tune=…: --over says what is tuned",
    "confirm": f"bptt confirm: {_NEEDS}SWEEP",
    "confirm a --seeds 0": "bptt confirm: argument --seeds: must be at least 1, not 0",
    "sync": "multirun: there is no sweep and no run",
    "sync --check": "multirun: there is no sweep and no run",
    "rm": f"bptt rm: {_NEEDS}SWEEP",
    "status a b": "bptt status: unrecognized arguments: b",
    "status --watch=3": "bptt status: argument --watch: ignored explicit argument '3'",
    "compare": f"bptt compare: {_NEEDS}A, B",
    "compare a": f"bptt compare: {_NEEDS}B",
    "measure": f"bptt measure: {_NEEDS}RUN|SWEEP",
    "measure a --at": "bptt measure: argument --at: expected one argument",
    "measure a --at lats": "argument --at: lats: must be first, last, all, or an update's number; did you mean last?",
    "measure a --at -1": "bptt measure: argument --at: -1: must be first, last, all, or an update's number",
    "measure a --at 1.5": "bptt measure: argument --at: 1.5: must be first, last, all, or an update's number",
    "measure a --lyapunow": "bptt measure: unrecognized arguments: --lyapunow",
    "measure a --workers 0": "bptt measure: argument --workers: 0: must be a whole number from 1 on",
    "report": f"bptt report: {_NEEDS}SWEEP",
    "reproduce": f"bptt reproduce: {_NEEDS}RUN|SWEEP",
    "export": f"bptt export: {_NEEDS}RUN",
    "sync --chek a": "bptt sync: unrecognized arguments: --chek",
    "sync a --store": "bptt sync: argument --store/--uri: expected one argument",
    "resume a --worker 3": "bptt resume: unrecognized arguments: --worker 3",
    "resume a --workers x": "bptt resume: argument --workers: invalid int value: 'x'",
    "resume a --backend x": "bptt resume: argument --backend: invalid choice: 'x'",
    "report a --figures bmp": "bptt report: argument --figures: invalid choice: 'bmp'",
    "reproduce a --tolerance x": "bptt reproduce: argument --tolerance: x: a number above 0 and below 1 is needed",
    "reproduce a --tolerance nan": "argument --tolerance: nan: a number above 0 and below 1",
    "reproduce a --runs 0": "bptt reproduce: argument --runs: 0: a number of runs is needed, at least 1, or all",
    "warm --workers 0": "bptt warm: argument --workers: 0: must be a whole number from 1 on",
    "warm --workers": "bptt warm: argument --workers: expected one argument",
    "ui --port x": "bptt ui: argument --port: invalid int value: 'x'",
    "ui": "{folder}/mlflow.db: nothing was recorded here yet",
}

#: What each command says to the folder `f`.
_NO_SWEEP: Final = {
    "resume f": "f: not the folder of a run (it holds no run.json)",
    "confirm ./f": "./f: neither the folder of a sweep nor that of a run",
    "sync f": "f: not the folder of a sweep (it holds no sweep.json)",
    "sync --check f": "f: not the folder of a sweep (it holds no sweep.json)",
    "rm ./f --yes": "f: not the folder of a sweep",
    "status ./f": "./f: neither the folder of a sweep nor that of a run",
    "compare ./f ./f": "./f: neither the folder of a sweep nor that of a run",
    "measure ./f": "./f: neither the folder of a sweep nor that of a run",
    "report ./f": "./f: neither the folder of a sweep nor that of a run",
    "reproduce ./f": "./f: neither the folder of a sweep nor that of a run",
    "export ./f": "./f: neither the folder of a sweep nor that of a run",
}
_NOWHERE: Final = {
    "resume ./nowhere": "nowhere: there is no such folder",
    "confirm ./nowhere": "./nowhere: there is no such folder",
    "sync ./nowhere": "nowhere: there is no such folder",
    "rm ./nowhere --yes": "nowhere: there is no such folder",
    "status": "latest: there is no run and no sweep in multirun",
    "status nowhere": "nowhere: there is no such folder, and none of a sweep or a run of this name in multirun",
    "status nowhere:3": "nowhere:3: a part of a sweep; name the whole one: nowhere",
    "status ./nowhere": "./nowhere: there is no such folder",
    "rm nowhere --yes": "mlflow.db: there is no such store",
    "compare ./nowhere ./nowhere": "./nowhere: there is no such folder",
    "report ./nowhere": "./nowhere: there is no such folder",
    "report latest": "latest: there is no run and no sweep in multirun",
    "resume latest": "latest: there is no run and no sweep in multirun",
    "export latest:best": "latest: there is no run and no sweep in multirun",
    "confirm latest": "latest: there is no sweep in multirun",
    "rm latest --yes": "latest: there is no sweep in multirun",
    "report nowhere": "nowhere: there is no such folder, and there is no store here",
    "reproduce ./nowhere": "./nowhere: there is no such folder",
    "export ./nowhere": "./nowhere: there is no such folder",
}


def _sweep(change: Callable[[Path], object]) -> Given:
    """A copy of the recorded sweep, as if it had been begun where it is, changed."""
    return _copy("multirun/sweep", SWEEP, change)


def _run(change: Callable[[Path], object]) -> Given:
    """A copy of the recorded run, as if it had been begun where it is, changed."""
    return _copy("multirun/runs/run", JOURNAL, change)


def _copy(source: str, journal: str, change: Callable[[Path], object]) -> Given:
    def make(place: Place) -> None:
        copy = place.folder / "f"
        shutil.copytree(place.recorded / source, copy)
        noted = load_sealed((copy / journal).read_text(encoding="utf-8"))
        # Outside of its project: that, and so its store, is the one that the journal names.
        (copy / journal).write_text(dump_sealed(noted | {"place": str(copy)}), encoding="utf-8")
        change(copy)

    return make


def _cut(name: str, share: float = 0.5) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / name
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return change


def _without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def _with(name: str, **values: Any) -> Callable[[Path], object]:
    """Keys of a JSON file are others, and its digest was taken out, as one may who edits it."""

    def change(folder: Path) -> None:
        path = folder / name
        noted = {key: value for key, value in json.loads(path.read_text(encoding="utf-8")).items() if key != "sha256"}
        path.write_text(json.dumps(noted | values), encoding="utf-8")

    return change


def _edited(name: str, **values: Any) -> Callable[[Path], object]:
    """Keys of a JSON file are others, but for its digest."""

    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")

    return change


def _flipped(name: str, bit: int) -> Callable[[Path], object]:
    """A bit of a file is another, counted from its middle on."""

    def change(folder: Path) -> None:
        path = folder / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2 + bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)

    return change


def _doubled(folder: Path) -> None:
    shutil.copytree(folder / _BLOCK, folder / "blocks" / "000007")


def _renamed(folder: Path) -> None:
    (folder / _BLOCK).rename(folder / "blocks" / "000007")


def _as(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content, encoding="utf-8")


#: How the sweep was damaged, and what is said of it by every command that reads it.
_SWEEP_DAMAGE: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "cut off": (_cut("sweep.json"), "f/sweep.json: can't be read"),
    "empty": (_cut("sweep.json", 0), "f/sweep.json: can't be read"),
    "a list": (_as("sweep.json", "[1]"), "f/sweep.json: can't be read"),
    "of a later version": (_with("sweep.json", later=1), "f/sweep.json: can't be read"),
    "edited": (_edited("sweep.json", solved="loss/eval<=9"), "if by you, take out its line sha256"),
    "no jobs": (_without("jobs.parquet"), "f/jobs.parquet: can't be read"),
    "jobs cut off": (_cut("jobs.parquet"), "f/jobs.parquet: can't be read"),
}
_BLOCK_DAMAGE: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "cut off": (_cut(f"{_BLOCK}/runs.parquet"), "runs.parquet: can't be read"),
    "missing": (_without(f"{_BLOCK}/runs.parquet"), "runs.parquet: can't be read"),
    "garbage": (_as(f"{_BLOCK}/runs.parquet", "x" * 500), "runs.parquet: can't be read"),
    "flipped": (_flipped(f"{_BLOCK}/history.parquet", 5), "history.parquet: can't be read: not as it was written"),
    "no digests": (_without(f"{_BLOCK}/digests.json"), "digests.json: can't be read: No such file"),
    "flipped digests": (_flipped(f"{_BLOCK}/digests.json", 1), "digests.json: can't be read: "),
    "twice": (_doubled, "000007/digests.json: can't be read: is a copy of block 000000; delete "),
    "renamed": (_renamed, "000007/digests.json: can't be read: is a copy of block 000000; delete "),
}


def _killed(**values: Any) -> Callable[[Path], object]:
    return _with("run.json", status="KILLED", **values)


def _then(first: Callable[[Path], object], second: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: (first(folder), second(folder))


#: Numbers of sweep.json that something is counted with.
_COUNTS: Final = ("seconds", "trials")

_RESUMED: Final[list[tuple[Given, str]]] = [
    (_sweep(_with("sweep.json", numerical_version="0")), "begun with another numerical version"),
    (_run(_cut("run.json")), "f/run.json: can't be read"),
    (_run(_with("run.json", later=1)), "f/run.json: can't be read"),
    (_run(_killed(numerical_version="0")), "begun with another numerical version (0, not "),
    (_run(lambda _: None), "f: its run has finished; there is nothing to go on with"),
    (_run(_then(_killed(files={}), _as("config.yaml", "3"))), "config.yaml: holds no configuration"),
    (_run(_then(_killed(), _flipped("config.yaml", 0))), "config.yaml: can't be read: not as it was written"),
    (_run(_edited("run.json", status="KILLED")), "f/run.json: can't be read: not as it was written"),
    (_run(_then(_killed(), _as("checkpoint.npz", "x"))), "checkpoint.npz: cut off or damaged"),
    (_run(_killed(digest="0")), "its config.yaml, or a data file or a package that it names, was changed"),
]


def _link(name: str) -> Given:
    return lambda place: (place.folder / "f" / name).symlink_to("elsewhere")


#: What a folder holds in which something new is to be trained, and what is said of it.
_TAKEN: Final[list[tuple[Given, str]]] = [
    (_run(lambda _: None), "f: holds a run that has finished; name another folder (`bptt resume` is for"),
    (_run(_killed()), "f: holds a run that has not finished; name another folder, or go on with it: bptt resume f"),
    (_sweep(lambda _: None), "f: holds a sweep that has finished; name another folder"),
    (_sweep(_with("sweep.json", status="KILLED")), "f: holds a sweep that has not finished; name another folder, or"),
    (text("f/config.yaml", "mine: 1"), "f: holds config.yaml, which would be written over; name a folder of its own"),
    (text("f/blocks/000000/mine", ""), "f: holds blocks, which would be written over"),
    (all_of(folder("f"), _link("blocks")), "f: blocks in it is a link; name a"),
    (all_of(folder("f"), _link(".lock")), "f: .lock in it is a link; name a"),
    (text("f", "mine"), "f: can't be written: Not a directory"),
]
COMMANDS: Final = [
    *(Case(tuple(command.split()), (says,)) for command, says in _ARGUMENTS.items()),
    *(Case(tuple(command.split()), (says,), folder("f")) for command, says in _NO_SWEEP.items()),
    *(Case(tuple(command.split()), (says,)) for command, says in _NOWHERE.items()),
]
ARCHIVES: Final = [
    *(
        Case(tuple(command.split()), (says,), _sweep(damage))
        for command in ("resume f", "sync f", "report ./f", "reproduce ./f", "status ./f")
        for damage, says in _SWEEP_DAMAGE.values()
    ),
    *(
        Case(tuple(command.split()), (says,), _sweep(damage))
        for command in ("sync f", "report ./f", "compare ./f ./f")
        for damage, says in _BLOCK_DAMAGE.values()
    ),
    *(
        Case(("status", "./f"), (says,), _sweep(damage))
        for kind, (damage, says) in _BLOCK_DAMAGE.items()
        if kind != "flipped"  # it reads no history
    ),
    *(
        Case((command, "./f"), (_BLOCK_DAMAGE[kind][1],), _sweep(_BLOCK_DAMAGE[kind][0]))
        for command in ("resume", "confirm", "reproduce", "export")
        for kind in ("missing", "twice")
    ),
    *(Case(("resume", "f"), (says,), given) for given, says in _RESUMED),
    *(Case(("status", "./f"), (says,), given) for given, says in _RESUMED[1:3]),
    Case(("status", "./f"), ("f/run.json: can't be read: seconds='x'",), _run(_with("run.json", seconds="x"))),
    Case(("status", "./f"), ("f: can't be read: ",), _sweep(lambda path: shutil.rmtree(path / "blocks"))),
    *(
        Case(("status", "./f"), ("f/sweep.json: can't be read",), _sweep(_with("sweep.json", **{key: "x"})))
        for key in _COUNTS
    ),
    Case(("export", "./f"), ("weights.npz",), _run(_cut("weights.npz"))),
    *(
        Case((command, "./f"), (f"{name}: can't be read: not as it was written",), _run(_flipped(name, 3)))
        for command in ("report", "reproduce")
        for name in ("history.parquet", "config.yaml")
    ),
    *(
        Case((command, "./f"), (f"provenance.json: can't be read: {says}",), _run(damage))
        for command in ("report", "reproduce")
        for says, damage in {
            "": _flipped("provenance.json", 3),
            "not as it was written": _edited("provenance.json", cores=0),
        }.items()
    ),
    Case(("reproduce", "./f"), ("config.yaml",), _run(_as("config.yaml", "a: ["))),
    *(Case(("train", "hydra.run.dir=f"), (f"hydra.run.dir={says}",), given) for given, says in _TAKEN),
    *(
        Case(("train", "-m", "seed=1,2", "hydra.sweep.dir=f"), (f"hydra.sweep.dir={says}",), given)
        for given, says in _TAKEN
    ),
    Case(
        ("report", "{recorded}/multirun/sweep", "-o", "f"),
        ("-o f: holds something else than a report; name a folder of its own",),
        text("f/report.html", "mine"),
    ),
    Case(
        ("export", "{recorded}/multirun/runs/run", "-o", "f"), ("f: is there already; name a new folder",), folder("f")
    ),
]
