"""`bptt ui`: MLflow's pages on the store that the runs were recorded in, on this machine only."""

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Sequence

_HOST = "127.0.0.1"
_PORTS_TRIED = 100


def main(argv: Sequence[str]) -> int:
    """Serve until Ctrl-C. The store is found as `bptt train` finds it."""
    from bptt.tracking.address import StoreError, resolve

    parser = argparse.ArgumentParser("bptt ui", description=__doc__, allow_abbrev=False)
    parser.add_argument("--uri", help="of the store; otherwise MLFLOW_TRACKING_URI, or mlflow.db in this folder")
    parser.add_argument("--port", type=int, default=5000, help="the first one that is tried (5000)")
    args = parser.parse_args(argv)
    try:
        address = resolve(args.uri)
    except StoreError as error:
        print(error, file=sys.stderr)
        return 2
    if address.uri.startswith(("http://", "https://")):
        print(f"The runs are on a server: open {address.shown}")
        return 0
    if address.database is not None and not address.database.is_file():
        print(f"{address.database}: nothing was recorded here yet; `bptt train` does", file=sys.stderr)
        return 2
    port = _free_port(args.port)
    if port is None:
        print(f"--port {args.port}: neither free nor any of the {_PORTS_TRIED} that follow", file=sys.stderr)
        return 2
    print(f"Open http://{_HOST}:{port} (Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", _HOST, "--port", str(port), "--workers", "1"]
    # The rest of MLflow's server starts eight more processes for jobs that nothing here uses.
    lean = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    store = {"MLFLOW_BACKEND_STORE_URI": address.uri}  # not as an argument: it may hold a password
    try:
        return subprocess.call(command, env={**lean, **os.environ, **store})
    except KeyboardInterrupt:
        return 0


def _free_port(first: int) -> int | None:
    for port in range(first, min(first + _PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return port
    return None
