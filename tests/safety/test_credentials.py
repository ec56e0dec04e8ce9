"""Passwords go to the servers that the user has named, and to nobody else: two servers here note what they are sent."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import bptt
from bptt.cli.main import main
from bptt.tracking.folder.run import Journal, write_journal
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.store.address import StoreError, is_named, recall_uri, resolve_address
from bptt.tracking.store.artifacts import fetch, list_names, put_files
from tests.empty_store import put_empty_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version

TINY = ("task=leftbit", "train.updates=20", "train.log_points=2")
SECRETS = {
    "MLFLOW_TRACKING_USERNAME": "ann",
    "MLFLOW_TRACKING_PASSWORD": "a secret",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}


@dataclass
class Listener:
    """A server that notes the headers of all requests, and answers that it has nothing, or that it is elsewhere."""

    moved: str | None = None
    code: int = 404
    seen: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def start(self) -> ThreadingHTTPServer:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                listener.seen.append({name.lower(): value for name, value in self.headers.items()})
                listener.paths.append(self.path)
                body = json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "nothing here"}).encode()
                self.send_response(listener.code)
                if listener.moved is not None:
                    self.send_header("Location", listener.moved + self.path)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.answer)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.uri = f"http://127.0.0.1:{server.server_port}"
        return server


@pytest.fixture
def foreign() -> Iterator[Listener]:
    listener = Listener()
    server = listener.start()
    yield listener
    server.shutdown()
    server.server_close()


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """The one that the environment names, with a password for it."""
    listener = Listener()
    server = listener.start()
    for name, value in {**SECRETS, "MLFLOW_TRACKING_URI": listener.uri}.items():
        monkeypatch.setenv(name, value)
    yield listener
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("received")
    before = Path.cwd()
    os.chdir(folder)
    try:
        put_empty_store(folder)
        bptt.sweep([*TINY, "optimizer.alpha=0.1,0.2", "report=false", "hydra.sweep.dir=multirun/s"])
    finally:
        os.chdir(before)
    return folder.rename(folder.with_name("sent"))  # no folder here is the one that it was trained in


@pytest.fixture
def here(trained: Path, foreign: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep's folder, and a run's, from somebody else, that name the foreign server."""
    shutil.copytree(trained / "multirun", tmp_path / "multirun")
    monkeypatch.chdir(tmp_path)
    archive = SweepFolder.open(tmp_path / "multirun" / "s")
    archive.write_journal(replace(archive.journal, uri=foreign.uri))
    theirs = {"uri": foreign.uri, "experiment": "bptt", "enabled": True, "checkpoint_seconds": 60.0}
    archive.write_jobs([replace(job, config=job.config | {"tracking": theirs}) for job in archive.jobs()])
    single = tmp_path / "multirun" / "runs" / "r"
    single.mkdir(parents=True)
    (single / "config.yaml").write_text(json.dumps(archive.jobs()[0].config))
    journal = Journal(
        run_id="0" * 32, uri=foreign.uri, experiment="bptt", name="r", digest=archive.jobs()[0].digest,
        numerical_version=archive.journal.numerical_version, current_folder=str(tmp_path), status="KILLED",
    )  # fmt: skip
    write_journal(single, journal)
    return tmp_path


RECEIVED = [
    "rm --yes multirun/s",
    "rm --yes s",
    "sync multirun/s",
    "sync --check s",
    "resume multirun/s",
    "confirm --seeds 1 multirun/s",
    "sync r",
    "sync --check multirun/runs/r",
    "resume multirun/runs/r",
    "export multirun/s:0 --log",
]


@pytest.mark.parametrize("command", RECEIVED)
def test_a_server_that_a_received_folder_names_is_asked_for_first(
    here: Path, named: Listener, foreign: Listener, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"{foreign.uri}: " in err
    assert f"nothing is sent there unless MLFLOW_TRACKING_URI or --store names it: --store {foreign.uri}" in err
    assert (foreign.seen, named.seen) == ([], [])


@pytest.mark.parametrize("command", ["rm --yes multirun/s", "sync s", "sync --check r"])
def test_one_that_the_command_line_names_gets_the_password(
    here: Path, named: Listener, foreign: Listener, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--store", foreign.uri]) in (0, 1, 2)
    assert "names this server" not in capsys.readouterr().err
    assert {headers["authorization"] for headers in foreign.seen} == {"Basic YW5uOmEgc2VjcmV0"}
    assert named.seen == []


@pytest.mark.parametrize("command", ["train", "train -m", "plan"])
def test_a_server_that_a_file_of_choices_names_is_asked_for_first(
    tmp_path: Path,
    named: Listener,
    foreign: Listener,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "theirs" / "experiment" / "e.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package _global_\ntracking:\n  uri: {foreign.uri}\n")
    arguments = [*command.split(), "--config-dir", "theirs", *TINY, "experiment=e"]
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert err.splitlines()[-1] == (
        f"tracking.uri={foreign.uri}: a file of choices names this host, and you have not: nothing is sent there unless"
        f" MLFLOW_TRACKING_URI or the command line names it: tracking.uri={foreign.uri}"
    )
    assert (foreign.seen, named.seen) == ([], [])
    assert not (tmp_path / "multirun").exists()
    monkeypatch.setenv("SECRET", "in the address")
    file.write_text(f"# @package _global_\ntracking:\n  uri: {foreign.uri}/${{oc.env:SECRET}}\n")
    assert main(arguments) == 2
    assert foreign.seen == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirection_takes_no_password_along(
    tmp_path: Path,
    named: Listener,
    foreign: Listener,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    named.moved, named.code = foreign.uri, code
    main(["train", "-m", *TINY, "seed=0", "report=false"])
    main(["report", "some sweep"])
    assert "Traceback" not in "".join(capsys.readouterr())
    assert all(headers["authorization"] == "Basic YW5uOmEgc2VjcmV0" for headers in named.seen)
    assert named.seen
    assert foreign.seen
    assert [headers for headers in foreign.seen if {"authorization", "proxy-authorization"} & {*headers}] == []


@pytest.mark.parametrize("scheme", ["http", "mlflow-artifacts"])
def test_artifacts_on_another_server_are_not_asked_for(named: Listener, foreign: Listener, scheme: str) -> None:
    address = resolve_address(None)
    elsewhere = f"{scheme}://{foreign.uri.removeprefix('http://')}/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts"
    for ask in (
        lambda: put_files(address, elsewhere, {"config.yaml": b"seed: 0"}),
        lambda: list_names(address, elsewhere),
        lambda: fetch(address, elsewhere, ["config.yaml"]).__enter__(),
    ):
        with pytest.raises(StoreError, match=r"says that files are on another server, .* which bptt does not ask"):
            ask()
    assert foreign.seen == []
    for own in ("mlflow-artifacts:/1/run/artifacts", f"{named.uri}/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts"):
        with pytest.raises(Exception, match=r"404|nothing here"):
            put_files(address, own, {"config.yaml": b"seed: 0"})
    assert {headers["authorization"] for headers in named.seen} == {"Basic YW5uOmEgc2VjcmV0"}


SAME = "http://lab:5000"


@pytest.mark.parametrize(
    ("noted", "known"),
    [
        ("http://lab:5000/", True),
        ("HTTP://LAB:5000/mlflow", True),
        ("http://ann:***@lab:5000", True),
        ("sqlite:////here/mlflow.db", True),
        ("https://lab:5000", False),
        ("http://lab", False),
        ("http://lab:5001", False),
        ("http://lab.evil.org:5000", False),
        ("http://lab:5000@evil.org", False),
        ("http://evil.org\\@lab:5000", False),
        ("http://evil.org#@lab:5000", False),
        ("http://evil.org?@lab:5000", False),
        ("http://[::1", False),
        ("databricks", False),
        ("databricks://evil", False),
        ("postgresql://me@lab:5000/mlflow", False),
        ("postgresql://lab:5000/mlflow?host=evil.org", False),
    ],
)
def test_whose_server_an_address_is(noted: str, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SAME)
    assert is_named(noted) == known
    if known:
        assert recall_uri(noted) == (None if "***" in noted else noted)
    else:
        with pytest.raises(StoreError, match="and you have not"):
            recall_uri(noted)
    assert recall_uri(noted, "sqlite:///mine.db") == "sqlite:///mine.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert is_named(noted) == noted.startswith("sqlite")


def test_a_database_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@lab/mlflow")
    assert recall_uri("postgresql://me:***@lab/mlflow") is None
    with pytest.raises(StoreError, match=r"names this database.*--store 'postgresql://me:\*\*\*@evil/mlflow'"):
        recall_uri("postgresql://me:***@evil/mlflow")
