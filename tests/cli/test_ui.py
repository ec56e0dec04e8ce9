import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from bptt.cli.ui import main
from bptt.tracking.store.opening import open_store

pytestmark = pytest.mark.filterwarnings("ignore")  # importing mlflow warns, differently in each version


def listening(parent: int) -> set[tuple[str, int]]:
    """Where a process, and all that it has started, can be reached from."""
    process = psutil.Process(parent)
    return {
        (connection.laddr.ip, connection.laddr.port)
        for each in (process, *process.children(recursive=True))
        for connection in each.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.slow
def test_ui_is_for_this_machine_links_to_the_newest_sweep_and_leaves_nothing_behind(cold: Any) -> None:
    store = open_store(f"sqlite:///{cold.path}/mlflow.db", "bptt")
    tags = {"bptt.sweep": "sizes", "bptt.view": "/#/the/view"}
    store.client.create_run(store.experiment_id, tags=tags)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bptt", "ui", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=cold.path, env=cold.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = [next(process.stdout)]
            while "Ctrl-C" not in lines[-1]:
                lines.append(next(process.stdout))
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
            assert listening(process.pid) == {("127.0.0.1", port)}
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0
            assert process.stdout.read() == ""
        finally:
            process.kill()
    assert "MLflow's server starts …\n" in lines[:2]  # before it, that the store is addressed relatively
    assert not any("http" in line for line in lines[:-4])
    assert lines[-4:] == [
        f"Open http://127.0.0.1:{port}/#/the/view\n",
        "     the newest sweep, sizes\n",
        f"All  http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning\n",
        "     all experiments; Ctrl-C ends it\n",
    ]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_ui_without_a_free_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mlflow.db").touch()
    assert main(["--uri", f"sqlite:///{tmp_path}/mlflow.db", "--port", "70000"]) == 2
    assert capsys.readouterr().err == "--port 70000: neither free nor any of the 100 that follow\n"
