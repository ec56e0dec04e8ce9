"""Programs that serve: ended in good order, asked whether they answer; and what is wrong with one, in a line."""

import os
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

LOOPBACK = "127.0.0.1"

_SECONDS_TO_END = 20


class Trouble(Exception):
    """The server can't run; the message is one line for the user."""


def end(process: "subprocess.Popen[bytes]", by: signal.Signals) -> None:
    """End a process that leads a session of its own by a signal, and whatever is left of the session by force."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would leave half of it running
    process.send_signal(by)
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_words(log: Path, of: str = "") -> str:
    """The last line of a log that has this text."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if of in line and line.strip()), "it does not say why")


def free_port() -> int:
    """A port of this machine that nobody listens to."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Whether a server can listen there."""
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True


def answers(url: str) -> bool:
    """Whether a server says that it is well."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
