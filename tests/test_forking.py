"""A forked process is what a fresh one would be: to whoever starts it, and within."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forking

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")

ABOUT = """
import json, os, sys
print(json.dumps([sys.argv, sys.path[0], os.getcwd(), dict(os.environ), sys.stdin.read()]))
print("said", file=sys.stderr)
sys.exit(3)
"""


def run(code: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(forking.command(code, *arguments), capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload]


def test_it_has_its_arguments_folder_environment_and_files(tmp_path: Path) -> None:
    variables = os.environ | {"ONE": "of its own"}
    done = run(ABOUT, "first", "-s", cwd=tmp_path, env=variables, input="given")
    assert (done.returncode, done.stderr) == (3, "said\n")
    arguments, first, folder, environment, given = json.loads(done.stdout)
    assert (arguments, first, folder, given) == (["-c", "first", "-s"], "", str(tmp_path), "given")
    assert environment == variables


def test_it_knows_nothing_of_another_one() -> None:
    assert run("import bptt; bptt.mine = 1").returncode == 0
    assert run("import bptt; assert not hasattr(bptt, 'mine')").returncode == 0


def test_it_has_imported_everything_and_opened_no_experiment() -> None:
    code = "import sys; from hydra.core.global_hydra import GlobalHydra; print(GlobalHydra.instance().is_initialized())"
    code += "; print('mlflow' in sys.modules, 'numba' in sys.modules)"
    assert run(code).stdout == "False\nTrue True\n"


@pytest.mark.parametrize(
    ("code", "returncode", "says"),
    [
        ("", 0, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit('so it ends')", 1, "so it ends\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
        ("import atexit, sys; atexit.register(print, 'at last', file=sys.stderr)", 0, "at last\n"),
    ],
)
def test_it_ends_as_it_would(code: str, returncode: int, says: str) -> None:
    done = run(code)
    assert (done.returncode, done.stderr) == (returncode, says)


def test_an_exception_is_told() -> None:
    done = run("1 / 0")
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_threads_are_waited_for() -> None:
    code = "import threading, time; threading.Thread(target=lambda: (time.sleep(0.3), print('done'))).start()"
    assert run(code).stdout == "done\n"


WAITS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
try:
    print("waits", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(5)
"""


@pytest.mark.parametrize(
    ("number", "returncode"), [(signal.SIGINT, 5), (signal.SIGTERM, 7), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_signals_reach_it(number: signal.Signals, returncode: int) -> None:
    with subprocess.Popen(forking.command(WAITS), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(number)
        assert process.stdout.read() == ""  # until the forked process has gone
    assert process.returncode == returncode


def test_a_terminal_is_one() -> None:
    ours, theirs = pty.openpty()
    code = "import sys; print(sys.stdout.isatty(), sys.stderr.isatty())"
    done = subprocess.run(forking.command(code), stdout=subprocess.PIPE, stderr=theirs, text=True, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.stdout == "False True\n"


def test_what_is_read_at_imports_takes_a_fresh_process() -> None:
    done = run("import sys; print(len(sys.modules) < 200)", env=os.environ | {"BPTT_SIMD_WIDTH": "4"})
    assert done.stdout == "True\n"
