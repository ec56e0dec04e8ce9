"""Slurm on this machine, for as long as a test needs it: a real one with its own daemons, or commands in its stead."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.dask_programs import ending
from tests.serving import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")

_SECONDS = 20


@dataclass(frozen=True)
class Slurm:
    """Where jobs can be submitted: the variables that its commands, and who calls them, need."""

    variables: dict[str, str] = field(default_factory=dict)

    def ask(self, *command: str) -> str:
        """What a command prints; nothing where it fails."""
        environment = os.environ | self.variables
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS)
        return done.stdout.strip() if done.returncode == 0 else ""

    def jobs(self) -> list[str]:
        """The numbers of all jobs that wait or run."""
        return self.ask("squeue", "--noheader", f"--user={os.getuid()}", "--format=%A").split()

    def cancel(self, *options: str) -> None:
        self.ask("scancel", *options)


def why_not() -> str | None:
    """Why there can't be a real one here; None: there can."""
    if os.geteuid() != 0:
        return "a Slurm of the test's own needs root"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"no {missing[0]} here; on Debian: apt-get install slurmctld slurmd slurm-client munge"
    return None


@contextmanager
def real(folder: Path, cpus: int) -> Iterator[Slurm]:
    """Start munge, a controller and a node, and end them with all of their jobs."""
    configuration = folder / "slurm.conf"
    configuration.write_text(_CONFIGURATION.format(
        folder=folder, host=socket.gethostname().partition(".")[0], cpus=cpus, ports=[free_port(), free_port()]
    ))  # fmt: skip
    for name in ("state", "spool"):
        (folder / name).mkdir()
    slurm = Slurm({"SLURM_CONF": str(configuration)})
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    munge = [f"--{what}={folder}/munge.{what}" for what in ("key-file", "socket", "pid-file", "log-file", "seed-file")]
    munge[0] = f"--key-file={folder}/munge.key"
    with ExitStack() as stack:
        stack.enter_context(_daemon(["munged", *munge, "--force", "--foreground"], slurm))
        _await((folder / "munge.socket").exists, "munged")
        stack.enter_context(_daemon(["slurmctld", "-D", "-c"], slurm))
        _await(lambda: bool(slurm.ask("scontrol", "ping")), "slurmctld")
        stack.enter_context(_daemon(["slurmd", "-D"], slurm))
        _await(lambda: "idle" in slurm.ask("sinfo", "--noheader", "--format=%T"), "slurmd")
        try:
            yield slurm
        finally:
            slurm.cancel(f"--user={os.getuid()}")
            _await(lambda: not slurm.jobs(), "the end of all jobs")


_CONFIGURATION = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
KillWait=2
MpiDefault=none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:8
"""


@contextmanager
def stand_in(folder: Path) -> Iterator[Slurm]:
    """Three commands that run jobs at once, as processes of this machine, and know one partition."""
    for name, script in _SCRIPTS.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    (folder / "jobs").mkdir()
    slurm = Slurm({"PATH": f"{folder}:{os.environ['PATH']}", "JOBS": str(folder / "jobs")})
    try:
        yield slurm
    finally:
        slurm.cancel(*slurm.jobs())
        _await(lambda: not slurm.jobs(), "the end of all jobs")


_SCRIPTS = {
    "sbatch": """#!/bin/sh
grep -q '^#SBATCH -p nowhere' "$1" && { echo 'sbatch: error: invalid partition specified: nowhere' >&2; exit 1; }
script="$JOBS/script.$$"; cp "$1" "$script"
setsid bash "$script" < /dev/null > /dev/null 2>&1 &
touch "$JOBS/$!"
echo "Submitted batch job $!"
""",
    "squeue": """#!/bin/sh
cd "$JOBS"; for job in [0-9]*; do grep -qs '^State:[[:space:]]*[^Z]' "/proc/$job/status" && echo "$job"; done; true
""",
    "scancel": """#!/bin/bash
for job; do kill -TERM -- "-$job"; done
""",
}


@contextmanager
def _daemon(command: list[str], slurm: Slurm) -> Iterator[None]:
    started = subprocess.Popen(
        command,
        env=os.environ | slurm.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with ending(started):
        yield


def _await(there: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not there():
        assert time.monotonic() < deadline, f"{what} did not come within {_SECONDS} s"
        time.sleep(0.1)


def hide(folder: Path) -> str:
    """A command for Python that does not see a folder, as on another machine; without root it is Python as it is."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return sys.executable
    script = f'mount -t tmpfs none {shlex.quote(str(folder.parent))} && exec "$0" "$@"'
    return shlex.join(["unshare", "--mount", "sh", "-c", script, sys.executable])
