"""A server that forks processes of the command line: it has imported everything, and trained once.

A command in a fresh process takes three seconds to import what it needs, in a forked one next to none. Everything else
is as in a fresh process: folder, environment, arguments, files, signals, exit code; `relay` stands for it where it is
started, and `subprocess` sees no difference.
"""

import atexit
import contextlib
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from tests import drawing, sparing
from tests.relay import early
from tests.times import note

_RELAY = Path(__file__).with_name("relay.py")
#: Kept at the import: a test that needs the first command may have changed its own.
_ENVIRONMENT = dict(os.environ)
#: Where this variable is set, one server serves several processes of tests.
_SHARED = "PYTEST_FORK_SERVER"
_SMALL = ("experiment=roelants_counting", "train.updates=2", "train.log_points=2", "reuse=false")
#: One run and a sweep in the server's own process import and fill what others find there.
_PREPARING = (("train", *_SMALL), ("train", "-m", *_SMALL, "seed=0,1", "hydra.launcher.workers=1"))


def command(code: str, *arguments: str) -> list[str]:
    """The command line that runs Python code, with these arguments in `sys.argv[1:]`, as `python -c` would."""
    if sys.platform != "linux":  # elsewhere a process with threads can't be forked, or none at all
        return [sys.executable, "-c", code, *arguments]
    return [sys.executable, "-I", "-S", str(_RELAY), _server(), code, *arguments]


def share() -> None:
    """Start one server for all processes that this one starts from now on."""
    os.environ[_SHARED] = _start()


@cache
def _server() -> str:
    """The folder of a server that is ready, which is this process's own where none is shared."""
    folder = Path(os.environ.get(_SHARED) or _start())
    ends = time.monotonic() + 300
    while not (folder / "early.json").exists():
        if (folder / "failed").exists() or time.monotonic() > ends:
            raise RuntimeError(f"the fork server could not be prepared: see the standard error above ({folder})")
        time.sleep(0.05)
    return str(folder)


def _start() -> str:
    """Start a server, which ends with this process; returns its folder, in which `early.json` says that it is ready."""
    folder = tempfile.TemporaryDirectory(prefix="bptt-fork-")
    variables = {key: value for key, value in _ENVIRONMENT.items() if not key.startswith("MLFLOW_")}
    variables["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path or str(Path.cwd()) for path in sys.path))
    process = subprocess.Popen(
        [sys.executable, "-c", "from tests.forking import serve; serve()"],
        cwd=folder.name,
        env=variables,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(_stop, process, folder)
    return folder.name


def _stop(process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
    process.communicate(timeout=300)
    folder.cleanup()


def serve() -> None:
    """Prepare, then fork for every request until the standard input ends."""
    try:
        _prepare()
        server = _Server()
    except BaseException:
        Path("failed").touch()
        raise
    Path("early.new").write_text(json.dumps(early()))
    Path("early.new").rename("early.json")
    server.run()


def _prepare() -> None:
    import bptt
    from bptt.cli.main import main
    from bptt.tracking.store.connecting import set_environment

    set_environment()  # what is imported first decides what MLflow says
    sparing.read_interpolations_once()
    sparing.list_choices_where_asked()
    importlib.import_module("mlflow.pyfunc")  # which no module of bptt imports before it is needed
    for found in pkgutil.walk_packages(bptt.__path__, "bptt."):
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(found.name)
    said = io.StringIO()
    for drawn in (contextlib.nullcontext(), drawing.blank()):
        with drawn, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            for words in _PREPARING:
                if code := main(words):
                    raise RuntimeError(f"bptt {' '.join(words)}: exit code {code}\n{said.getvalue()}")
    for module in list(sys.modules.values()):
        getattr(module, "__warningregistry__", {}).clear()
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in others:  # a sweep may have ended before its report's imports have, which go on beside it
        thread.join(timeout=60)
    running = [thread.name for thread in others if thread.is_alive()]
    if running:
        raise RuntimeError(f"threads would be lost in forked processes: {', '.join(running)}")
    sparing.collect_less_garbage()


class _Server:
    def __init__(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind("server")
        self._listener.listen(64)
        self._ended, self._waking = os.pipe()
        os.set_blocking(self._waking, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waking)
        self._forked: dict[int, socket.socket] = {}
        self._tests: dict[int, str] = {}

    def run(self) -> NoReturn:
        selector = selectors.DefaultSelector()
        for source in (0, self._listener, self._ended):
            selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self._listener:
                    connection, _ = self._listener.accept()
                    self._fork(connection, selector)
                elif key.fileobj == self._ended:
                    os.read(self._ended, 4096)
                    self._reap(selector)
                elif key.fileobj == 0:
                    for number in self._forked:
                        os.kill(number, signal.SIGKILL)
                    os._exit(0)
                elif isinstance(key.fileobj, socket.socket) and key.data in self._forked:
                    self._hand_on(key.fileobj, key.data, selector)

    def _fork(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        start, files, _, _ = socket.recv_fds(connection, 4, 3)
        (length,) = struct.unpack("=I", start)
        text = b""
        while len(text) < length:
            text += connection.recv(length - len(text))
        request = json.loads(text)
        number = os.fork()
        if number:
            for file in files:
                os.close(file)
            self._tests[number] = request["environment"].get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
            self._forked[number] = connection
            selector.register(connection, selectors.EVENT_READ, number)
            return
        selector.close()
        signal.set_wakeup_fd(-1)
        for held in (self._listener, connection, *self._forked.values()):
            held.close()
        for pipe in (self._ended, self._waking):
            os.close(pipe)
        _become(request, files)

    def _hand_on(self, connection: socket.socket, number: int, selector: selectors.BaseSelector) -> None:
        """A signal that the relay got; where it was killed, so is the process that it stands for."""
        try:
            signals = connection.recv(64)
        except ConnectionResetError:
            signals = b""
        for each in signals or (signal.SIGKILL,):
            os.kill(number, each)
        if not signals:
            selector.unregister(connection)

    def _reap(self, selector: selectors.BaseSelector) -> None:
        for number, connection in list(self._forked.items()):
            found, status, used = os.wait4(number, os.WNOHANG)
            if found:
                note(self._tests.pop(number), used.ru_utime + used.ru_stime)
                del self._forked[number]
                with contextlib.suppress(KeyError):
                    selector.unregister(connection)
                with connection, contextlib.suppress(OSError):
                    connection.sendall(struct.pack("=i", os.waitstatus_to_exitcode(status)))


def _become(request: dict[str, Any], files: list[int]) -> NoReturn:
    """Be the process that was asked for, from its beginning to its end."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for place, path in enumerate(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))):
        if path not in sys.path:
            sys.path.insert(place + 1, path)
    drawing.blank_where_asked()
    sys.argv[1:] = request["arguments"]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _writing(1, "strict")
    sys.stderr = _writing(2, "backslashreplace")
    code = 1
    try:
        exec(compile(request["code"], "<string>", "exec"), vars(sys.modules["__main__"]))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    _end(code)


def _writing(file: int, errors: str) -> io.TextIOWrapper:
    raw = io.FileIO(file, "wb", closefd=False)
    lines = file == 2 or os.isatty(file)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors=errors, line_buffering=lines)


def _end(code: int) -> NoReturn:
    """What the interpreter does at its end, but for taking everything apart."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
