"""Stands for a process that the fork server runs: gives it the files and the folder, hands signals on, ends as it does.

Started as a script, with the standard library alone, so that it costs next to nothing.
"""

import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

#: Variables that are read while modules are imported: what is forked has the server's.
_EARLY = ("BPTT_", "NUMBA_", "OMP_", "OPENBLAS_", "MKL_", "MPL", "LC_", "LANG", "HOME", "XDG_", "TMP", "PYTHON")
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def early() -> dict[str, str]:
    """This process's variables that a forked one can't have of its own."""
    return {key: value for key, value in os.environ.items() if key.startswith(_EARLY) and key != "PYTHONPATH"}


def main(folder: str, code: str, *arguments: str) -> None:
    """Run Python code with these arguments in a process of the fork server that has this folder."""
    if early() != json.loads((Path(folder) / "early.json").read_text()):
        os.execv(sys.executable, [sys.executable, "-c", code, *arguments])
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{folder}/server")

        def forward(number: int, _frame: FrameType | None) -> None:
            connection.send(bytes([number]))

        request = {"code": code, "arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        text = json.dumps(request).encode()
        for number in _FORWARDED:
            signal.signal(number, forward)
        signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)  # until all has been sent
        socket.send_fds(connection, [struct.pack("=I", len(text))], [0, 1, 2])
        connection.sendall(text)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        answer = b""
        while len(answer) < 4:
            received = connection.recv(4 - len(answer))
            if not received:
                raise SystemExit("the fork server has gone")
            answer += received
    (status,) = struct.unpack("=i", answer)
    if status < 0:  # it was ended by this signal
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
