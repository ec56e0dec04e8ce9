"""The store fails: its server dies in the middle, or won't answer, its database is held by another process."""

import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.faults import unruly
from tests.faults.killing import ended
from tests.faults.phases import await_moment
from tests.faults.programs import Program
from tests.faults.proof import prove
from tests.faults.sweep import DATABASE, begin, go_on, with_empty_store, words
from tests.faults.trial import Blow, Trial
from tests.serving import Server

SECONDS_LOCKED = 30.0
SECONDS_LOCKED_LONG = 60.0
_SECONDS_OF_MOOD = 15.0

_HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
connection.rollback()
"""


def server(trial: Trial) -> None:
    """kill -9 of the tracking server; it is started again when the sweep has ended."""
    place, serving = _start_server(trial)
    try:
        env = {"MLFLOW_TRACKING_URI": serving.uri}
        program = Program.start(trial.folder, *words(), env=env)
        phase = await_moment(trial, program, "training", "archiving", "storing", "ending")
        serving.kill()
        if phase is not None:
            trial.blows.append(Blow(phase, ended(trial), kills=1))
        program.ended_with(0, 1, 2, *((130,) if phase is None else ()))
        serving.start()
        again = go_on(trial, env=env)
        trial.recoveries.append(again.ended_with(0))
        prove(trial, program.process.pid, again.process.pid, database=place / DATABASE)
    finally:
        with suppress(AssertionError):
            serving.kill()


def _start_server(trial: Trial) -> tuple[Path, Server]:
    """The folder of a tracking server with an empty store, and the server."""
    place = trial.folder / "server"
    place.mkdir()
    with_empty_store(place, trial.undisturbed.archive.folder.parents[1])
    _let_the_server_keep_artifacts(place / DATABASE)
    serving = Server(place)
    serving.start()
    return place, serving


def unruly_server(trial: Trial) -> None:
    """For some seconds the tracking server hangs, answers 429 or 500, or cuts its answers short."""
    place, serving = _start_server(trial)
    try:
        with unruly.before(serving.port) as proxy:
            env = {"MLFLOW_TRACKING_URI": proxy.uri, "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
            program = Program.start(trial.folder, *words(), env=env)
            phase = await_moment(trial, program, "starting", "training", "archiving", "storing", "ending")
            proxy.mood = trial.one_of(*unruly.MOODS)
            program.runs_for(trial.seconds(_SECONDS_OF_MOOD))
            if phase is not None and proxy.struck:
                trial.blows.append(Blow(phase, ended(trial), kills=0))
            proxy.mood = None
            program.ended_with(0, 1, 2)
            again = go_on(trial, env=env)
            trial.recoveries.append(again.ended_with(0))
            prove(trial, program.process.pid, again.process.pid, database=place / DATABASE)
    finally:
        with suppress(AssertionError):
            serving.kill()


def locked_for_a_minute(trial: Trial) -> None:
    """Another process holds the database for a minute: the sweep waits for it."""
    _locked(trial, SECONDS_LOCKED_LONG)


def locked_database(trial: Trial) -> None:
    """Another process holds the database for half a minute: the sweep waits for it."""
    _locked(trial, SECONDS_LOCKED)


def _locked(trial: Trial, seconds: float) -> None:
    program = begin(trial)
    phase = await_moment(trial, program, "starting", "training", "storing", "ending")
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(trial.folder / DATABASE), str(seconds)], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    if phase is not None:
        trial.blows.append(Blow(phase, ended(trial), kills=0))
    trial.recoveries.append(program.ended_with(0))
    holder.wait()
    holder.stdout.close()
    prove(trial, program.process.pid)


def _let_the_server_keep_artifacts(database: object) -> None:
    """As a server does that has made its database itself."""
    with sqlite3.connect(str(database)) as connection:
        connection.execute("UPDATE experiments SET artifact_location = 'mlflow-artifacts:/' || experiment_id")
