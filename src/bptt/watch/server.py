"""The page of a sweep, served to this machine alone, from the sweep's folder alone.

    /             the page; /live.js and /live.css with it: nothing comes from elsewhere
    /events       server-sent events: what the page shows, whenever that has changed; ?metric=loss/eval
    /state.json   the same, once

It listens on the loopback address. What a browser was led to under another name than that, by a page whose name was
bound anew to it (DNS rebinding), is refused, and so is what another page asks for.
"""

import json
import sys
import threading
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from bptt.printable import OneLineError, make_printable
from bptt.tracking.folder.files import MULTIRUN, SWEEP
from bptt.tracking.folder.sweep import is_sweep
from bptt.tracking.history.find import LATEST, SourceError, find_folder, find_newest_folder
from bptt.watch.feed import Feed, Viewer
from bptt.watch.shown import is_shown

HOST: Final = "127.0.0.1"
#: The first that is tried where none is asked for.
PORT: Final = 8200
_PORTS_TRIED: Final = 100

_NAMES: Final = frozenset({HOST, "localhost"})

_PAGES: Final = {
    "/": ("live.html", "text/html; charset=utf-8"),
    "/live.css": ("live.css", "text/css; charset=utf-8"),
    "/live.js": ("live.js", "text/javascript; charset=utf-8"),
}

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_MOST_VIEWERS: Final = 64
_SECONDS_OF_A_REQUEST: Final = 20.0  # that it may take to come, and an answer to go
_SECONDS_OF_SILENCE: Final = 10.0  # then a word shows whether the viewer is there still


class ServingError(OneLineError):
    """The page can't be served; the message is one line for the user."""


def choose_finder(source: str) -> Callable[[], Path | None]:
    """What says which folder a source is: None as long as there is none; `latest`: the newest sweep of the moment.

    Raises SourceError where it is something else than a sweep, or a sweep's folder to be.
    """
    if source == LATEST:
        return lambda: _find_or_none(lambda: find_newest_folder(runs=False))
    path = Path(source)
    if path.is_dir() and not is_sweep(path) and any(path.iterdir()):
        raise SourceError(f"{source}: not the folder of a sweep; `bptt status --watch` is for a run on its own")
    if not path.exists() and (found := _find_or_none(lambda: find_folder(source))) is not None:
        path = found if found.is_absolute() else Path.cwd() / found
        if not is_sweep(path):
            raise SourceError(f"{source}: a run on its own, for which there is `bptt status --watch`")
        path = found
    elif path.name == source and not path.exists():
        path = Path(MULTIRUN) / source  # where a sweep of this name will be
    return lambda: path if is_sweep(path) else None


def _find_or_none(find: Callable[[], Path]) -> Path | None:
    try:
        return find()
    except SourceError:
        return None


def explain_waiting(source: str) -> str:
    """That there is no such sweep yet, and which is called like it."""
    if source == LATEST:
        return f"waits for a sweep in {MULTIRUN}"
    names = [path.parent.name for path in Path(MULTIRUN).glob(f"*/{SWEEP}")]
    near = get_close_matches(Path(source).name, names, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return make_printable(f"waits for the sweep {source}, which has not begun{meant}")


class LiveServer:
    """Serves the page of a sweep: `with LiveServer("latest") as page: print(page.url)`; or see `open_page`.

    waits  what is said as long as there is no such sweep; None: there is one
    """

    def __init__(self, source: str = LATEST, port: int | None = None) -> None:
        """port: None: the first free one from PORT on; 0: any free one.

        Raises SourceError where it is no sweep's, and ServingError where the port is taken.
        """
        find = choose_finder(source)
        note = explain_waiting(source)
        self.waits = note if find() is None else None
        self._feed = Feed(find, note)
        self._server = _listen(port)
        self._server.feed = self._feed
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="pages", daemon=True)

    @property
    def url(self) -> str:
        """What to open."""
        return f"http://{HOST}:{self._server.server_address[1]}/"

    def __enter__(self) -> Self:
        self._feed.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._feed.__exit__(None, None, None)

    def _repr_html_(self) -> str:
        return f'<a href="{self.url}" target="_blank" rel="noopener">{self.url}</a>'


def open_page(source: str = LATEST, port: int | None = None) -> LiveServer:
    """Serve the page of a sweep from now on, beside whatever else this process does, until its `close()`.

    source, port  as of `LiveServer`, which says what is raised
    """
    return LiveServer(source, port).__enter__()


def _listen(port: int | None) -> "_Server":
    ports = [port] if port is not None else range(PORT, PORT + _PORTS_TRIED)
    for one in ports:
        try:
            return _Server((HOST, one), _Answers)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
    if port is None:
        raise ServingError(f"none of the ports {PORT} to {PORT + _PORTS_TRIED - 1} is free; --port 0 takes any")
    raise ServingError(f"--port {port}: can't be listened on ({why.lower()}); another one, or 0, which takes any free")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = sys.platform != "win32"  # where it would take a port from another process
    request_queue_size = 64
    feed: Feed

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A viewer that has gone is no error."""


class _Answers(BaseHTTPRequestHandler):
    timeout = _SECONDS_OF_A_REQUEST
    server_version, sys_version = "bptt", ""
    server: _Server

    def do_GET(self) -> None:
        """Answer."""
        self._answer(content=True)

    def do_HEAD(self) -> None:
        """Answer, without the content."""
        self._answer(content=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a terminal is for the link."""

    def _answer(self, content: bool) -> None:
        asked = urlsplit(self.path)
        if why := self._find_refusal(asked.path):
            self._send(403, "text/plain; charset=utf-8", f"{why}\n".encode(), content)
            return
        if asked.path in _PAGES:
            name, kind = _PAGES[asked.path]
            self._send(200, kind, _read_asset(name), content)
        elif asked.path in ("/events", "/state.json"):
            metric = parse_qs(asked.query).get("metric", [""])[0]
            viewer = Viewer(metric) if is_shown(metric) else Viewer()
            if asked.path == "/events" and content:
                self._send_events(viewer)
            else:
                self._send_state(viewer, content)
        else:
            self._send(404, "text/plain; charset=utf-8", b"there is no such page\n", content)

    def _find_refusal(self, path: str) -> str | None:
        """Why a request is not answered; None: it is."""
        host = self.headers.get("Host", "")
        if _name_host(host) not in _NAMES:
            return f"served to this machine alone: open http://{HOST}:{self.server.server_address[1]}/"
        origin = self.headers.get("Origin")
        led = self.headers.get("Sec-Fetch-Site") == "cross-site" and path != "/"
        if led or (origin is not None and _name_host(urlsplit(origin).netloc) not in _NAMES):
            return "another page asked for it"
        return None

    def _send(self, code: int, kind: str, body: bytes, content: bool) -> None:
        self.send_response(code)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if content:
            self.wfile.write(body)

    def _send_state(self, viewer: Viewer, content: bool) -> None:
        if not self.server.feed.enter(viewer, _MOST_VIEWERS):
            self._send(503, "text/plain; charset=utf-8", b"too many viewers\n", content)
            return
        try:
            told = self.server.feed.tell(viewer, _SECONDS_OF_A_REQUEST)
        finally:
            self.server.feed.leave()
        body = json.dumps(told, allow_nan=False, ensure_ascii=False).encode()
        self._send(503 if told is None else 200, "application/json", body, content)

    def _send_events(self, viewer: Viewer) -> None:
        feed = self.server.feed
        if not feed.enter(viewer, _MOST_VIEWERS):
            self._send(503, "text/plain; charset=utf-8", b"too many viewers\n", content=True)
            return
        try:
            self.send_response(200)
            for name, value in {**_HEADERS, "Content-Type": "text/event-stream; charset=utf-8"}.items():
                self.send_header(name, value)
            self.end_headers()
            while not feed.is_over:
                told = feed.tell(viewer, _SECONDS_OF_SILENCE)
                said = ":" if told is None else f"data: {json.dumps(told, allow_nan=False)}"
                self.wfile.write(f"{said}\n\n".encode())
        except OSError:  # it has gone
            pass
        finally:
            feed.leave()
            self.close_connection = True


def _name_host(host: str) -> str:
    """A host without its port."""
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


@cache
def _read_asset(name: str) -> bytes:
    return (files("bptt.watch") / "assets" / name).read_bytes()
