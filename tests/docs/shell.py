"""A reader's shell: commands one after the other, in one folder, what they export kept for the next."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.program import write_program

_SECONDS = 600
_STARTING_SECONDS = 60
_ADDRESS = re.compile(r"(?:https?|tcp)://(127\.0\.0\.1|localhost|0\.0\.0\.0|[\w.-]+):(\d+)")
_UNSET = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "PYTHONPATH")
#: What depends on the time that things take: no page shows it.
_PROGRESS = re.compile(r"^(compiling the kernels, once per machine.*| +\d+ %  .*)\n", re.MULTILINE)


class Shell:
    """`folder` is where it begins; `run` gives what a command said, and its exit code."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder, self._state = folder, state
        self._servers: list[subprocess.Popen[bytes]] = []
        (state / "exported").touch()
        self._programs = state / "bin"
        self._programs.mkdir()
        write_program(self._programs / "bptt")
        (state / "folder").write_text(str(folder))

    def run(self, command: str) -> tuple[str, int]:
        """Standard output and errors together."""
        shell = self.words(
            f"trap 'declare -px > {self._file('exported')}; pwd > {self._file('folder')}' EXIT\n{command}"
        )
        with subprocess.Popen(
            shell,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment(),
            start_new_session=True,
        ) as running:
            try:
                said, _ = running.communicate(timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                said = running.communicate()[0] + f"not done after {_SECONDS} s\n".encode()
        return _PROGRESS.sub("", said.decode()), running.returncode

    def serve(self, command: str) -> str | None:
        """Start a server and wait until it answers where it says that it does; returns what is wrong."""
        log = self._state / f"server{len(self._servers)}"
        with log.open("wb") as said:
            server = subprocess.Popen(
                self.words(command), stdout=said, stderr=said, env=self._environment(), start_new_session=True
            )
        self._servers.append(server)
        until = time.monotonic() + _STARTING_SECONDS
        while time.monotonic() < until and server.poll() is None:
            if any(_answers(host, int(port)) for host, port in _ADDRESS.findall(log.read_text())):
                return None
            time.sleep(0.2)
        return f"it does not answer where it says that it does\n{log.read_text()}"

    def close(self) -> None:
        """Stop all servers."""
        for server in self._servers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGINT)
        for server in self._servers:
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()

    def words(self, script: str) -> list[str]:
        """What runs a script where the last command has left off."""
        begin = f'. {self._file("exported")}; cd "$(cat {self._file("folder")})"'
        return ["bash", "-c", f"{begin}\nset -e -o pipefail\n{script}"]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _UNSET}
        path = os.pathsep.join([str(self._programs), str(Path(sys.executable).parent), kept["PATH"]])
        return {**kept, "PATH": path, "COLUMNS": "120"}

    def _file(self, name: str) -> str:
        return shlex.quote(str(self._state / name))


def commands_of(text: str) -> list[tuple[int, str]]:
    """A script's commands, each with the number of its first line, from 0: as many lines as the shell needs for one."""
    found, begun, first = list[tuple[int, str]](), "", 0
    for number, line in enumerate(text.splitlines()):
        if not begun and (not line.strip() or line.startswith("#")):
            continue
        first = first if begun else number
        begun += line + "\n"
        if not line.endswith("\\") and _is_whole(begun):
            found.append((first, begun.rstrip("\n")))
            begun = ""
    return [*found, (first, begun)] if begun else found


def _is_whole(text: str) -> bool:
    asked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    return asked.returncode == 0 and "here-document" not in asked.stderr


def _answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False
