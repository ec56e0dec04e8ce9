"""The page of a sweep: what its server answers, to whom, and what it tells while a sweep goes on."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

import bptt
from bptt.cli.main import main
from bptt.tracking.folder.files import LOCK
from bptt.tracking.history.find import SourceError
from bptt.watch import feed as feeding
from bptt.watch.server import LiveServer, ServingError, choose_finder
from tests.recording import archived, results
from tests.watch.watching import trained

#: What another's name may hold.
HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[2J\u202ebad"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "multirun").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(feeding, "_SECONDS_BETWEEN", 0.01)
    monkeypatch.setattr(feeding, "_SECONDS_BETWEEN_OF_ENDED", 0.01)
    monkeypatch.setattr(feeding, "_PAUSE_BY_LOOK", 0.0)
    return tmp_path


@pytest.fixture
def page() -> Iterator[LiveServer]:
    archived(Path("multirun/s"), question="Which?", conditions=[])
    with LiveServer("s", port=0) as server:
        yield server


def ask(page: LiveServer, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    connection = HTTPConnection(page.url.removeprefix("http://").rstrip("/"), timeout=30)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse()


def state(page: LiveServer, query: str = "") -> dict[str, Any]:
    answer = ask(page, f"/state.json{query}")
    assert answer.status == 200
    found: dict[str, Any] = json.loads(answer.read())
    return found


def test_the_page_comes_with_all_that_it_needs(page: LiveServer) -> None:
    for path, kind, holds in (
        ("/", "text/html", "/live.js"),
        ("/live.js", "text/javascript", "EventSource"),
        ("/live.css", "text/css", "prefers-color-scheme"),
    ):
        answer = ask(page, path)
        text = answer.read().decode()
        assert (answer.status, answer.getheader("Content-Type", "").partition(";")[0]) == (200, kind)
        assert holds in text
        addresses = text.replace("http://www.w3.org/2000/svg", "")  # a name, which nobody asks for
        assert "//" not in addresses.replace("// ", "") or path == "/live.js"
        assert "http" not in addresses
        policy = answer.getheader("Content-Security-Policy", "")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert ask(page, "/../sweep.json").status == 404
    assert ask(page, "/", method="POST").status == 501
    head = ask(page, "/", method="HEAD")
    assert (head.status, head.read()) == (200, b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8200", "127.0.0.1.evil.example", "", "[::1]:80"])
def test_who_was_led_to_it_by_another_name_gets_nothing(page: LiveServer, host: str) -> None:
    for path in ("/", "/state.json", "/events"):
        answer = ask(page, path, Host=host)
        assert answer.status == 403
        assert b"sweep" not in answer.read()


def test_what_another_page_asks_for_is_refused(page: LiveServer) -> None:
    assert ask(page, "/state.json", Origin="https://evil.example").status == 403
    assert ask(page, "/state.json", Origin="null").status == 403
    assert ask(page, "/state.json", Sec_Fetch_Site="cross-site").status == 403
    assert ask(page, "/", Sec_Fetch_Site="cross-site").status == 200  # a link to it
    assert ask(page, "/state.json", Origin=page.url.rstrip("/")).status == 200
    assert ask(page, "/state.json", Host="localhost:9999").status == 200  # a port that ssh forwards


def test_a_sweep_that_was_interrupted(page: LiveServer) -> None:
    told = state(page)
    summary = told["summary"]
    assert (summary["name"], summary["state"], summary["wrong"]) == ("s", "was interrupted", True)
    assert (summary["ended"], summary["total"], summary["failed"], summary["at_work"]) == (8, 9, 2, False)
    assert summary["question"] == "Which?"
    kinds = ("completed", "diverged", "early stopped", "failed", "given up by halving")
    assert summary["outcomes"] == [[kind, count] for kind, count in zip(kinds, (3, 1, 1, 2, 1), strict=True)]
    names = ["alpha=0.2 model=elman", "alpha=0.2 model=lstm"]
    assert summary["failures"] == [{"why": "RuntimeError: the planted error", "count": 2, "runs": names}]
    assert summary["mending"] == ["go on", "bptt resume multirun/s"]
    assert summary["criterion"] == "accuracy/eval>=1"
    (group,) = summary["conditions"]
    # Solved at update 40, twice, or 100: of those that were as fast, the one with the smaller loss.
    first = ["model=lstm alpha=0.1", "model=elman alpha=0", "model=lstm alpha=0.3"]
    assert [one["setting"] for one in group["settings"][:3]] == first
    assert (group["best"], group["compared"], group["fewest"], group["most"]) == (3, 8, 1, 1)
    assert group["settings"][-1]["ended"] == 0
    assert told["metric"] == "loss/eval"
    quartiles = {key: [1.0, 0.5, 0.1] for key in ("low", "median", "high")}
    assert told["curves"]["0"] == {"updates": [1, 40, 100], "runs": [1, 1, 1], **quartiles}
    assert told["curves"]["2"]["median"] == [3.0, "infinite"]  # it diverged
    assert told["curves"]["4"] is None  # it failed
    assert state(page, "?metric=accuracy/eval")["curves"]["0"]["median"] == [25.0, 100.0, 75.0]
    assert state(page, "?metric=nothing")["metric"] == "loss/eval"


def test_conditions_are_never_ranked() -> None:
    archived(Path("multirun/s"), conditions=["optimizer.alpha"])
    with LiveServer("s", port=0) as page:
        groups = state(page)["summary"]["conditions"]
    assert [group["condition"] for group in groups] == [f"alpha={value}" for value in ("0", "0.1", "0.2", "0.3", "0.4")]
    assert [group["best"] for group in groups] == [0, 3, None, 7, None]  # both failed; only one there
    assert [len(group["settings"]) for group in groups] == [2, 2, 2, 2, 1]


def test_viewers_are_told_while_it_goes_on() -> None:
    with trained(Path("multirun/s")) as archive, LiveServer(port=0) as page:
        viewers = [ask(page, "/events"), ask(page, "/events?metric=grad/norm")]
        first = [next_event(one) for one in viewers]
        for told in first:
            assert told["first"]
            assert (told["summary"]["state"], told["summary"]["at_work"]) == ("is being trained", True)
            assert told["summary"]["running"] == [["block 5", 1, 20, 100, 0.2]]
            assert told["summary"]["trained"] == pytest.approx(8.2 / 9)
        assert first[0]["curves"]["8"]["median"] == [3.0, 2.0]
        assert first[1]["curves"]["8"]["median"] == [6.0, 4.0]
        archive.write_block(5, [_end(archive)])
        archive.place_sign(5).unlink()
        for one in viewers:
            while (told := next_event(one))["summary"]["ended"] < 9:
                assert not told["first"]
            assert [*told["curves"]] == ["8"]  # what has changed, and nothing else
        assert viewers[0].getheader("Content-Type", "").startswith("text/event-stream")


def _end(archive: Any) -> Any:
    from dataclasses import replace

    return replace(results(0)[0], job=8)


def next_event(answer: HTTPResponse) -> dict[str, Any]:
    while not (line := answer.readline()).startswith(b"data: "):
        assert line
    found: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
    return found


def test_it_waits_for_a_sweep_and_follows_the_newest() -> None:
    with LiveServer(port=0) as page:
        assert page.waits == "waits for a sweep in multirun"
        viewer = ask(page, "/events")
        told = next_event(viewer)
        assert (told["summary"]["name"], told["summary"]["state"]) == ("", "waits for a sweep in multirun")
        archived(Path("multirun/s"))
        while not (told := next_event(viewer))["summary"]["name"]:
            pass
        assert (told["first"], told["summary"]["name"]) == (True, "s")
        archived(Path("multirun/t"), began=2000.0)
        while (told := next_event(viewer))["summary"]["name"] == "s":
            pass
        assert (told["first"], told["summary"]["name"], len(told["curves"])) == (True, "t", 9)


def test_a_sweep_that_was_deleted_is_waited_for_and_one_that_is_damaged_told_of() -> None:
    archive = archived(Path("multirun/s"))
    with LiveServer("multirun/s", port=0) as page:
        assert page.waits is None
        viewer = ask(page, "/events")
        assert next_event(viewer)["summary"]["name"] == "s"
        (archive.folder / "jobs.parquet").write_bytes(b"nonsense")
        while "trouble" not in (told := next_event(viewer))["summary"]:
            pass
        assert "jobs.parquet: can't be read" in told["summary"]["trouble"]
        assert told["summary"]["name"] == "s"  # what was known stays
        (archive.folder / "sweep.json").unlink()
        while next_event(viewer)["summary"]["name"]:
            pass


def test_names_of_others_stay_text() -> None:
    renamed = trained(Path("multirun/s"), rename=lambda job: HOSTILE, question=HOSTILE)
    with renamed as archive, LiveServer("s", port=0) as page:
        text = ask(page, "/state.json").read().decode()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\\\x1b[2J\\\\u202ebad" in text
    script = (Path(__file__).parents[2] / "src/bptt/watch/assets/live.js").read_text()
    assert "innerHTML" not in script
    assert "insertAdjacentHTML" not in script
    assert "document.write" not in script
    assert archive.folder.name == "s"


def test_nobody_is_looked_at_where_nobody_looks(page: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    inner = page._feed.look

    def look() -> None:
        looks.append(1)
        inner()

    monkeypatch.setattr(page._feed, "look", look)
    import time

    time.sleep(0.1)
    assert looks == []
    state(page)
    assert len(looks) > 0


def test_from_python_it_is_served_until_it_is_closed() -> None:
    archived(Path("multirun/s"))
    page = bptt.live("s", port=0)
    assert state(page)["summary"]["name"] == "s"
    assert page.url in page._repr_html_()
    page.close()
    with pytest.raises(OSError, match="refused"):
        ask(page, "/")


def test_a_port_that_is_taken_is_refused_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["live", "--port", str(port)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        why = "can't be listened on (address already in use); another one, or 0, which takes any free"
        assert captured.err == f"--port {port}: {why}\n"
    for wrong in ("70000", "-1"):
        assert main(["live", f"--port={wrong}"]) == 2
        assert capsys.readouterr().err.startswith(f"--port {wrong}: can't be listened on (")


def test_what_is_no_sweep_is_refused(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "file").touch()
    assert main(["live", "other"]) == 2
    assert capsys.readouterr().err == (
        "other: not the folder of a sweep; `bptt status --watch` is for a run on its own\n"
    )
    (folder / "empty").mkdir()
    assert choose_finder("empty")() is None
    with pytest.raises(SourceError, match="not the folder of a sweep"):
        choose_finder(str(folder))
    assert issubclass(ServingError, Exception)


def test_a_name_that_is_not_there_is_waited_for_and_said_so() -> None:
    archived(Path("multirun/alphas"))
    with LiveServer("alpha", port=0) as page:
        assert page.waits == "waits for the sweep alpha, which has not begun (did you mean alphas?)"
    with LiveServer("multirun/alphas", port=0) as page:
        assert page.waits is None
    assert not (Path("multirun/alphas") / LOCK).exists()  # nothing is written there
