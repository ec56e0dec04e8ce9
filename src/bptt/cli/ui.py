"""`bptt ui`: MLflow's pages on the store that the runs were recorded in, on this machine only."""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bptt.cli.common import Parser, add_store, print_lines

if TYPE_CHECKING:
    from bptt.tracking.store.address import Address
    from bptt.tracking.store.sweep_page import NewestSweep

_HOST = "127.0.0.1"
_PORTS_TRIED = 100
_SECONDS_TO_END = 5.0


def main(argv: Sequence[str]) -> int:
    """Serve until Ctrl-C, and print first what to open. The store is found as `bptt train` finds it."""
    from bptt.tracking.store.address import StoreError, resolve_address
    from bptt.tracking.store.sweep_page import find_newest_sweep
    from bptt.tracking.store.whereabouts import settle_artifacts

    parser = Parser("bptt ui", description=__doc__)
    add_store(parser, "MLFLOW_TRACKING_URI, or mlflow.db in this folder")
    parser.add_argument("--port", type=int, default=5000, help="the first one that is tried (5000)")
    args = parser.parse_args(argv)
    try:
        address = resolve_address(args.uri)
    except StoreError as error:
        print(error, file=sys.stderr)
        return 2
    if address.pages is not None:
        _print_links(find_newest_sweep(address), address.pages, "they are on a server, which goes on")
        return 0
    if address.is_missing:
        print(f"{address.database}: nothing was recorded here yet; `bptt train` does", file=sys.stderr)
        return 2
    try:
        settle_artifacts(address)
    except StoreError as error:
        print(error, file=sys.stderr)
        return 2
    port = _find_free_port(args.port)
    if port is None:
        print(f"--port {args.port}: neither free nor any of the {_PORTS_TRIED} that follow", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the server would outlive this process
    print("MLflow's server starts …", flush=True)
    server = _start_server(address, port)
    try:
        newest = find_newest_sweep(address)
        while server.poll() is None and not _answers(port):
            time.sleep(0.1)
        if server.poll() is None:
            _print_links(newest, f"http://{_HOST}:{port}", "Ctrl-C ends it")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end_server(server)


def _start_server(address: "Address", port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "mlflow", "server", "--host", _HOST, "--port", str(port), "--workers", "1"]
    lean = {
        # The rest of MLflow's server starts eight more processes for jobs that nothing here uses.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # A line per request would push the links out of sight.
        "UVICORN_LOG_LEVEL": "warning",
        "PYTHONWARNINGS": "ignore",
    }
    # Not as arguments: it may hold a password.
    store = {"MLFLOW_BACKEND_STORE_URI": address.uri, "MLFLOW_REGISTRY_STORE_URI": address.uri}
    # Artifacts that are addressed relative to a store are looked for from where the server was started. No module is
    # taken from there.
    store |= {"PYTHONSAFEPATH": "1", "UVICORN_APP_DIR": sysconfig.get_path("purelib")}
    folder = None if address.database is None else address.database.parent
    return subprocess.Popen(command, env={**lean, **os.environ, **store}, cwd=folder)


def _print_links(sweep: "NewestSweep | None", root: str, note: str) -> None:
    """The link to open first: that to the newest sweep's charts, where there is a sweep."""
    from bptt.tracking.store.sweep_page import EXPERIMENTS

    if sweep is not None:
        print_lines([f"Open {root}{sweep.path}", f"     the newest sweep, {sweep.name}"])
    print(f"{'Open' if sweep is None else 'All '} {root}{EXPERIMENTS}\n     all experiments; {note}", flush=True)


def _find_free_port(first: int) -> int | None:
    for port in range(first, min(first + _PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return port
    return None


def _answers(port: int) -> bool:
    try:
        socket.create_connection((_HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _end_server(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        server.kill()
