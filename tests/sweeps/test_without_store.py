"""A store that is away stops no training: the folder has what was trained; what can't come right is refused before."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bptt.cli.main import main
from bptt.tracking.folder.run import read_journal
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.store import connecting
from bptt.tracking.store.address import StoreError, resolve_address
from bptt.tracking.store.connecting import connect
from bptt.tracking.store.opening import choose_experiment, open_store
from tests.empty_store import put_empty_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

TINY = ("task=leftbit", "train.updates=20", "train.log_points=2")
SWEEP = ("train", "-m", *TINY, "seed=0,1", "report=false", "hydra.sweep.dir=multirun/s")
SINGLE = ("train", *TINY, "hydra.run.dir=multirun/runs/r")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def answering(code: int, answer: dict[str, str] | None) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html>" if answer is None else json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


AWAY = {
    "nobody listens": (None, None, "[Errno 111] Connection refused"),
    "an error of its own": (500, None, "it answers with error 500"),
    "not yet there": (503, None, "it answers with error 503"),
    "too many requests": (429, None, "it answers with error 429"),
    "its database is away": (400, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"}, "later"),
}


@pytest.mark.parametrize("how", [*list(AWAY)[:2], *(pytest.param(how, marks=pytest.mark.slow) for how in [*AWAY][2:])])
@pytest.mark.parametrize("arguments", [SWEEP, SINGLE], ids=["sweep", "single"])
def test_a_server_that_is_away_at_the_start(
    here: Path,
    how: str,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, answer, says = AWAY[how]
    server = None if code is None else answering(code, answer)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{9 if server is None else server.server_port}")
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    first, *_, last = err.splitlines()
    assert f"the store can't be reached: {says}" in first or says in first
    assert "`bptt sync` sends" in first
    assert err.count("goes on without it") + err.count("trained without it") == 1
    if arguments is SWEEP:
        assert "2 runs in" in out
        assert last == "later: bptt sync multirun/s"
        archive = SweepFolder.open(here / "multirun" / "s")
        assert [result.status for result in archive.ended()] == ["FINISHED"] * 2
        assert (archive.journal.experiment, archive.stored(), archive.journal.parent) == ("bptt", set(), None)
    else:
        assert "completed after 20 updates" in out
        assert last == f"later: bptt sync {here}/multirun/runs/r"
        journal = read_journal(here / "multirun" / "runs" / "r")
        assert (journal.status, journal.recorded, journal.run_id) == ("FINISHED", False, None)
        assert (here / "multirun" / "runs" / "r" / "history.parquet").is_file()
    if server is not None:
        server.shutdown()
        server.server_close()


def test_a_silent_server_is_given_up(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient  # noqa: F401 (whose import is no waiting)

    began = time.monotonic()
    with pytest.raises(StoreError, match="the store can't be reached: timed out") as caught:
        open_store(silent, "bptt")
    assert time.monotonic() - began < 10
    assert caught.value.passing
    monkeypatch.setattr(connecting, "SECONDS_AT_THE_START", 6)
    assert connecting.SECONDS_AT_THE_START < 10


WRONG = {
    "a wrong password": (401, None, "the server wants a user and a password"),
    "no right": (403, None, "the server does not let this user do that"),
    "another program's server": (404, None, "404"),
    "an answer of another program": (400, {"detail": "what?"}, "what?"),
}


@pytest.mark.parametrize("how", WRONG)
def test_what_cannot_come_right_is_refused_before(
    here: Path, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answer, says = WRONG[how]
    server = answering(code, answer)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    for arguments in (SWEEP, SINGLE):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert says in err
        assert not (here / "multirun").exists()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("uri", ["nope://x/y", "mysql://127.0.0.1:9/x", "postgresql+psycopg://127.0.0.1:9/x"])
def test_databases_that_are_away_or_never_there(
    here: Path, uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    away = uri.startswith("postgresql")
    assert main(SWEEP) == (1 if away else 2)
    assert ("training goes on without it" in capsys.readouterr().err) == away
    assert (here / "multirun" / "s").exists() == away


def test_a_database_that_can_no_longer_be_made(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is made while the first runs are trained: that it fails loses none of them."""

    def failing(*_: Any) -> Any:
        raise StoreError("mlflow.db: can't be made: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("bptt.sweeps.launch.open_store", failing)
        assert main(SWEEP) == 1
    err = capsys.readouterr().err
    assert "mlflow.db: can't be made: the disk is full; it goes on without the store" in err
    assert err.endswith("later: bptt sync multirun/s\n")
    assert main(["sync", "multirun/s"]) == 0
    assert main(["sync", "--check"]) == 0


def test_a_sweep_goes_on_whatever_the_store_says(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own run was deleted in MLflow: what is missing is trained, and what brings it back is said."""
    put_empty_store(here)
    assert main(SWEEP) == 0
    archive = SweepFolder.open(here / "multirun" / "s")
    client = connect(resolve_address(None))
    assert archive.journal.parent is not None
    client.delete_run(archive.journal.parent)
    block = next((here / "multirun" / "s" / "blocks").iterdir())
    for path in [*block.iterdir()]:
        path.unlink()
    block.rmdir()
    next((here / "multirun" / "s" / "stored").iterdir()).unlink()
    archive.write_journal(replace(archive.journal, status="KILLED"))
    capsys.readouterr()
    assert main(["resume", "multirun/s"]) == 1
    out, err = capsys.readouterr()
    assert "2 completed" in out
    assert f"was deleted in MLflow; this brings it back: mlflow runs restore --run-id {archive.journal.parent}" in err
    assert err.splitlines()[-1] == f"later: bptt sync {here}/multirun/s"
    assert main(["sync"]) == 0
    assert main(["sync", "--check"]) == 0


def test_a_single_run_goes_on_whatever_the_store_says(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_empty_store(here)
    assert main(SINGLE) == 0
    folder = here / "multirun" / "runs" / "r"
    journal = read_journal(folder)
    client = connect(resolve_address(None))
    assert journal.run_id is not None
    client.delete_run(journal.run_id)
    from bptt.tracking.folder.run import write_journal

    write_journal(folder, replace(journal, status="KILLED", outcome=None))
    capsys.readouterr()
    assert main(["resume", "multirun/runs/r"]) == 1
    out, err = capsys.readouterr()
    assert "completed after 20 updates" in out
    assert f"mlflow runs restore --run-id {journal.run_id}; the run is trained without it, and `bptt sync` sends" in err
    assert main(["sync", "r"]) == 0
    assert client.get_run(journal.run_id).info.lifecycle_stage == "active"
    assert main(["sync", "--check"]) == 0


def test_which_experiment(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    uri = put_empty_store(here)
    client = connect(resolve_address(uri))
    known = client.create_experiment("known")

    def name(configured: str | None) -> str:
        return open_store(None, choose_experiment(configured)).experiment

    assert name(None) == "bptt"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", known)
    assert (name(None), name("on purpose")) == ("known", "on purpose")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "known")
    assert name(None) == "known"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    with pytest.raises(StoreError, match=f"MLFLOW_EXPERIMENT_ID={known}: is not the experiment another, which MLFLOW"):
        name(None)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    assert name(None) == "another"
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    assert main(SWEEP) == 2
    assert "MLFLOW_EXPERIMENT_ID=77: there is no such experiment in sqlite:///" in capsys.readouterr().err
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", known)
    assert main(SWEEP) == main(SINGLE) == 0
    assert SweepFolder.open(here / "multirun" / "s").journal.experiment == "known"
    assert read_journal(here / "multirun" / "runs" / "r").experiment == "known"
    assert len(client.search_runs([known])) == 4
