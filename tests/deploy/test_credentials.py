"""A server with users: who it does not know records nothing, and what they know each other by is written nowhere."""

import base64
import secrets
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
import pytest

from bptt.cli.main import main
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.opening import open_store
from tests.deploy.lab import Lab, new_lab
from tests.program import Folder

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]

SWEEP = ("train", "-m", "experiment=roelants_counting", "train.updates=60", "train.log_points=5")
# Made anew each time: the work tree's patch, which a sweep keeps, may hold this file.
CHIEF = {
    "MLFLOW_AUTH_ADMIN_USERNAME": "chief",
    "MLFLOW_AUTH_ADMIN_PASSWORD": f"{secrets.token_hex(8)}@%/:{secrets.token_hex(8)}",
}
ANN = {
    "MLFLOW_TRACKING_USERNAME": "ann",
    "MLFLOW_TRACKING_PASSWORD": f"{secrets.token_hex(8)}&? {secrets.token_hex(8)}",
}
AS_CHIEF = dict(zip(ANN, CHIEF.values(), strict=True))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with new_lab() as lab, pytest.MonkeyPatch.context() as patch:
        lab.start("--basic-auth", **CHIEF)
        from mlflow.server import get_app_client

        for name, value in AS_CHIEF.items():
            patch.setenv(name, value)
        get_app_client("basic-auth", tracking_uri=lab.uri).create_user(*ANN.values())
        yield lab


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def as_user(patch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name in ("MLFLOW_TRACKING_URI", *ANN):
        patch.delenv(name, raising=False)
    for name, value in variables.items():
        patch.setenv(name, value)


def with_password(uri: str, user: Mapping[str, str]) -> str:
    name, password = (quote(value, safe="") for value in user.values())
    return uri.replace("://", f"://{name}:{password}@")


@pytest.mark.parametrize(
    "user", [{}, ANN | {"MLFLOW_TRACKING_PASSWORD": "wrong"}, ANN | {"MLFLOW_TRACKING_USERNAME": "x"}]
)
def test_who_is_not_known_is_told_how_to_be(user: dict[str, str], lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, user)
    with pytest.raises(StoreError) as caught:
        open_store(lab.uri, "bptt")
    assert str(caught.value) == (
        f"{lab.uri}: the store can't be used: the server wants a user and a password that it knows: set"
        " MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    )


@pytest.mark.parametrize("several", [True, False])
def test_nothing_is_started_for_who_is_not_known(several: bool, lab: Lab, place: Folder) -> None:
    done = place.bptt(*(SWEEP if several else (SWEEP[0], *SWEEP[2:])), MLFLOW_TRACKING_URI=lab.uri)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{lab.uri}: the store can't be used: the server wants a user and a password")
    assert done.stderr.count("\n") == 1
    assert not [path for path in place.path.rglob("*") if path.is_file()]


def test_a_password_among_the_arguments_is_refused(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_user(monkeypatch, {})
    monkeypatch.chdir(tmp_path)
    uri = with_password(lab.uri, ANN)
    own = tmp_path / "own" / "tracking"
    own.mkdir(parents=True)
    (own / "lab.yaml").write_text(f"uri: {uri}\nexperiment: bptt\nenabled: true\n")
    for command in (
        ["train", f"tracking.uri={uri}"],
        ["train", "-m", "seed=0,1", f"tracking.uri={uri}", "tracking.enabled=false"],
        ["train", "--cfg", "job", f"tracking.uri={uri}"],
        ["train", f"tracking.url={uri}"],
        ["plan", "seed=0,1", f"tracking.uri={uri}"],
        ["train", "--config-dir", "own", "tracking=lab"],
        ["train", "-m", "--config-dir", "own", "tracking=lab", "seed=0,1"],
        ["report", "some sweep", "--uri", uri],
        ["ui", "--uri", uri],
    ):
        assert main(command) == 2, command
        said = "".join(capsys.readouterr())
        assert "a password is taken from the environment alone, where it is not on show" in said, command
        assert said.count("\n") == 1
        assert not leaked(said.encode(), ANN), command
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_credentials_are_written_nowhere(lab: Lab, place: Folder) -> None:
    """Sweeps and a run of two users, who give what they are known by in both of the possible ways."""
    by_address = {"MLFLOW_TRACKING_URI": with_password(lab.uri, AS_CHIEF)}
    by_name = {"MLFLOW_TRACKING_URI": lab.uri, **ANN}
    single = (SWEEP[0], *SWEEP[2:], "seed=5")
    with seen_by_all() as commands:
        outcomes = [
            place.bptt_afresh(*SWEEP, "seed=0,1", "hydra.sweep.dir=multirun/chief", **by_address),
            place.bptt_afresh(*SWEEP, "seed=2,3", "report=false", "hydra.sweep.dir=multirun/ann", **by_name),
            place.bptt_afresh(*single, **by_address),
        ]
    for done in outcomes:
        assert done.returncode == 0, done.stderr
    assert [run.info.status for run in lab.runs(**ANN)] == ["FINISHED"] * 7
    assert f"{lab.uri}/#/experiments" in outcomes[0].stdout
    assert any(str(lab.port) in command for command in commands)

    # MLflow lets only an experiment's maker delete in it; and a server that is away, or does not know one, is told of.
    outcomes.append(place.bptt("rm", "multirun/ann", "--yes", **by_name))
    assert outcomes[-1].stderr.startswith(f"{lab.uri}: the server does not let this user do that\n")
    (settings,) = lab.folder.glob("bptt-server-*/auth.ini")
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    dumped = lab.dump()
    assert "chief" in dumped
    assert lab.stop() == (0, "")
    assert not settings.exists()
    outcomes.append(place.bptt(*single, **by_address))
    assert outcomes[-1].returncode == 1
    assert "can't be reached" in outcomes[-1].stderr

    kept = lab.folder / "kept"
    searched = {"dump": dumped.encode(), "commands": "\n".join(commands).encode()}
    searched |= {" ".join(done.args[3:]): (done.stdout + done.stderr).encode() for done in outcomes}
    for folder in (place.path, kept / "artifacts", kept / "mlflow.log", kept / "postgresql.log"):
        files = [folder] if folder.is_file() else [path for path in folder.rglob("*") if path.is_file()]
        searched |= {str(path): path.read_bytes() for path in files}
    assert {"chief/sweep.json", "chief/report/report.html", "ann/provenance.json"} <= {
        path.removeprefix(f"{place.path}/multirun/") for path in searched
    }
    assert [path for path in searched if ".hydra/overrides.yaml" in path]
    assert not [
        place
        for place, content in searched.items()
        if leaked(content, ANN, AS_CHIEF, {"": "bptt", "password": lab.password})
    ]


def leaked(content: bytes, *users: Mapping[str, str]) -> bool:
    """Whether some user's password is there: a good part of it as it is, or with the name as HTTP sends it."""
    for name, password in (user.values() for user in users):
        sent = base64.b64encode(f"{name}:{password}".encode()).decode()
        parts = {password, quote(password, safe=""), password[:16], password[-16:], sent[:40]}
        if any(part.encode() in content for part in parts):
            return True
    return False


def test_what_would_leak_is_found() -> None:
    password = ANN["MLFLOW_TRACKING_PASSWORD"]
    sent = base64.b64encode(f"ann:{password}".encode())
    for content in (password.encode(), quote(password).encode(), b"Basic " + sent, password[:18].encode()):
        assert leaked(b"before " + content + b" after", ANN)
    assert not leaked(b"ann", ANN)


@contextmanager
def seen_by_all() -> Iterator[set[str]]:
    """The command lines of all processes that there were while the block lasts."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for process in psutil.process_iter(["cmdline"]):
                seen.add(" ".join(process.info["cmdline"] or ()))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()
