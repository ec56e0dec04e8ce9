"""The store is changed by others: runs or the experiment deleted in MLflow, bits flipped, names that would do harm."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from bptt.printable import make_lines_printable
from tests.faults.killing import ended
from tests.faults.phases import await_moment
from tests.faults.programs import Program
from tests.faults.proof import prove
from tests.faults.sweep import DATABASE, RUNS, begin, swept
from tests.faults.trial import Blow, Trial

_EXPERIMENT: Final = "bptt"
_BELOW: Final = "mlflow.parentRunId"


def run_deleted(trial: Trial) -> None:
    """One of the sweep's runs is deleted in MLflow while it goes on: `bptt sync` puts it there again."""
    _changed(trial, lambda client: _delete_run(client, below=True))


def sweep_deleted(trial: Trial) -> None:
    """The sweep's own run is deleted in MLflow while it goes on."""
    _changed(trial, lambda client: _delete_run(client, below=False))


def experiment_deleted(trial: Trial) -> None:
    """The experiment is deleted in MLflow while the sweep goes on, and restored afterwards."""

    def delete(client: Any) -> bool:
        client.delete_experiment(_find_experiment(client))
        return True

    _changed(trial, delete, lambda client: client.restore_experiment(_find_experiment(client)))


def collected(trial: Trial) -> None:
    """A run is deleted in MLflow, and `mlflow gc` takes it out of the database, while the sweep goes on."""
    uri = f"sqlite:///{trial.folder / DATABASE}"

    def change(client: Any) -> bool:
        changed = _delete_run(client, below=True)
        collect = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", uri]
        where = os.environ | {"MLFLOW_TRACKING_URI": uri}
        subprocess.run(collect, cwd=trial.folder, check=True, capture_output=True, env=where)
        return changed

    _changed(trial, change)


def _changed(trial: Trial, change: Callable[[Any], bool], mend: Callable[[Any], Any] | None = None) -> None:
    """The store is changed at some moment; the sweep ends without losing a run, `bptt sync` makes the store whole."""
    from mlflow import MlflowClient

    program = begin(trial)
    client = MlflowClient(f"sqlite:///{trial.folder / DATABASE}")
    phase = await_moment(trial, program, "archiving", "storing", "ending")
    if change(client):
        trial.blows.append(Blow(phase or "ending", ended(trial), kills=0))
    program.ended_with(0, 1, 2)
    assert ended(trial) == RUNS
    if mend is not None:
        mend(client)
    again = Program.start(trial.folder, "sync", str(swept(trial.folder)))
    trial.recoveries.append(again.ended_with(0))
    prove(trial, program.process.pid, again.process.pid)


def _find_experiment(client: Any) -> str:
    from mlflow.entities import ViewType

    (found,) = client.search_experiments(ViewType.ALL, filter_string=f"name = '{_EXPERIMENT}'")
    return str(found.experiment_id)


def _delete_run(client: Any, below: bool) -> bool:
    """Delete the sweep's own run, or one below it; whether there was one."""
    found = [run for run in client.search_runs([_find_experiment(client)]) if (_BELOW in run.data.tags) == below]
    if found:
        client.delete_run(found[-1].info.run_id)
    return bool(found)


def flipped(trial: Trial) -> None:
    """Bits of mlflow.db are flipped: no command ends in a traceback; without it `bptt sync` makes a whole one."""
    begin(trial).ended_with(0)
    folder, database = swept(trial.folder), trial.folder / DATABASE
    for path in database.parent.glob(f"{DATABASE}-*"):
        path.unlink()
    content = bytearray(database.read_bytes())
    for place in trial.rng.integers(0, len(content), 64):
        content[int(place)] ^= 1 << int(trial.rng.integers(8))
    database.write_bytes(content)
    trial.blows.append(Blow("ending", RUNS, kills=0))
    for command in (("sync", str(folder)), ("report", str(folder)), ("doctor",)):
        Program.start(trial.folder, *command).ended_with(0, 1, 2)
    for path in database.parent.glob(f"{DATABASE}*"):
        path.unlink()
    again = Program.start(trial.folder, "sync", str(folder))
    trial.recoveries.append(again.ended_with(0))
    prove(trial, again.process.pid)


_ESCAPE: Final = "\x1b[2J"
_SCRIPT: Final = "<script>alert(1)"
_ESCAPED: Final = Path("/tmp/bptt-escaped")
_HOSTILE: Final = (
    f"{_SCRIPT}</script>",
    "../../escaped",
    str(_ESCAPED),
    "'; DROP TABLE runs; --",
    f"{_ESCAPE}\x1b]0;escaped\x07",
    "=cmd|'/c calc'!A0",
    "[x](javascript:alert(1))",
    "${oc.env:HOME}",
    "a" * 200,
    "\u202egnp.exe",
)
#: What each of them ends in, so that it does not depend on luck which command is given it.
_AT_ITS_END: Final = f"{_ESCAPE}\nall is well\u202e"


def hostile_names(trial: Trial) -> None:
    """In a store of another's, names of runs, sweeps and experiments would do harm: they are text, and stay there."""
    begin(trial).ended_with(0)
    place = trial.folder / "mine"
    place.mkdir()
    sweep, child = _rename(trial)
    before = _list_files(trial.folder)
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{trial.folder / DATABASE}"}
    there = f"import os; os.chdir({str(place)!r})"
    for command in (("report", sweep), ("compare", sweep, child), ("reproduce", child), ("export", child), ("doctor",)):
        program = Program.start(trial.folder, *command, env=env, first=there)
        program.ended_with(0, 1, 2)
        said = program.output.read_text(errors="replace") + program.told()
        assert make_lines_printable(said) == said, f"{program}: {said!r}"
        assert "\nall is well" not in said, f"{program}: {said!r}"
    trial.blows.append(Blow("ending", RUNS, kills=0))
    trial.recoveries.append(program.seconds)
    assert not [path for path in place.rglob("*.html") if _SCRIPT in path.read_text()]
    assert _list_files(trial.folder) == before
    assert not [*_ESCAPED.parent.glob(f"{_ESCAPED.name}*")]


def _rename(trial: Trial) -> tuple[str, str]:
    """Give a sweep, its runs and its experiment such names; the ids of its own run, and of one below."""
    names = [_HOSTILE[int(number)] + _AT_ITS_END for number in trial.rng.permutation(len(_HOSTILE))]
    with closing(sqlite3.connect(trial.folder / DATABASE)) as connection:
        ids = [run_id for (run_id,) in connection.execute("SELECT run_uuid FROM runs")]
        below = {run_id for (run_id,) in connection.execute("SELECT run_uuid FROM tags WHERE key = ?", [_BELOW])}
        for number, run_id in enumerate(ids):
            named = (names[number % len(names)], run_id)
            connection.execute("UPDATE runs SET name = ? WHERE run_uuid = ?", named)
            connection.execute("UPDATE tags SET value = ? WHERE run_uuid = ? AND key = 'mlflow.runName'", named)
        connection.execute("UPDATE tags SET value = ? WHERE key = 'bptt.sweep'", [names[0]])
        connection.execute("UPDATE experiments SET name = ? WHERE name = ?", [names[1], _EXPERIMENT])
        connection.commit()
    (sweep,) = set(ids) - below
    return sweep, min(below)


def _list_files(folder: Path) -> set[str]:
    """What a folder holds beside what is said, the user's own folder, and the database's log."""
    found = {path.relative_to(folder) for path in folder.rglob("*") if not path.name.startswith(DATABASE)}
    return {str(path) for path in found if path.parts[0] not in ("said", "tmp", "mine")}
