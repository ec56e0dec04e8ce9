"""A server that for a while hangs, answers with an error or cuts its answers short: a proxy before a real one."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

MOODS: Final = ("hangs", "429", "500", "cuts")
_PASSED_ON: Final = ("content-type", "content-length", "content-encoding")


class Unruly:
    """The proxy. mood: what it does instead of passing a request on; None: it passes it on."""

    def __init__(self, port: int) -> None:
        self.mood: str | None = None
        self.struck = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def log_message(self, *_: Any) -> None: ...

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                mood = outer.mood
                outer.struck += mood is not None
                if mood == "hangs":
                    while outer.mood == "hangs":
                        time.sleep(0.1)
                    return
                if mood in ("429", "500"):
                    self.send_error(int(mood))
                    return
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() in _PASSED_ON:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if mood == "cuts" else content)

            def do_GET(self) -> None:
                with suppress(OSError):  # who asked has gone
                    self._pass_on()

            do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815 (http.server's names)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self) -> None:
        self._server.serve_forever(0.1)

    def stop(self) -> None:
        self.mood = None
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def before(port: int) -> Iterator[Unruly]:
    """A proxy before the server at this port of this machine."""
    proxy = Unruly(port)
    threading.Thread(target=proxy.serve, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.stop()
