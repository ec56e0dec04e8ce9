"""Every fault: its name in the table, what does it, and how often it comes among a hundred kills."""

from dataclasses import dataclass
from typing import Final

from tests.faults import clock, clusters, full_disks, interrupting, killing, single, stores, together
from tests.faults.trial import Scenario


@dataclass(frozen=True)
class Fault:
    """A fault.

    kills   how many processes it is to end among a hundred; 0: it ends none
    trials  how many trials there are at least
    """

    name: str
    scenario: Scenario
    kills: int
    trials: int = 1
    needs_root: bool = False


FAULTS: Final = (
    Fault("kill -9 of the sweep's process", killing.main_process, 20),
    Fault("kill -9 of all its processes", killing.process_group, 12),
    Fault("kill -9 of a worker", killing.worker, 4),
    Fault("kill -9 of a Dask worker", clusters.dask_worker, 4),
    Fault("kill -9 of a sweep on Dask", clusters.dask_client, 4),
    Fault("kill -9 of the tracking server", stores.server, 3),
    Fault("kill -9 of bptt resume", killing.during_resume, 10),
    Fault("kill -9 of bptt sync", killing.during_sync, 8),
    Fault("kill -9 of a single run", single.killed, 10),
    Fault("Ctrl-C", interrupting.ctrl_c, 8),
    Fault("Ctrl-C twice", interrupting.twice, 6),
    Fault("SIGTERM", interrupting.sigterm, 6),
    Fault("SIGTERM to all its processes", interrupting.sigterm_to_all, 5),
    Fault("Ctrl-C or SIGTERM in a single run", single.interrupted, 4),
    Fault("the terminal goes away", interrupting.hangup, 3),
    Fault("the reader of its output goes away", interrupting.closed_pipe, 0, 2),
    Fault("resumed twice at once", together.resumed_twice, 2),
    Fault("two sweeps at once in a fresh folder", together.two_sweeps, 0, 2),
    Fault("three sweeps at once in a fresh folder", together.three_sweeps, 0),
    Fault("the disk of the sweep's folder is full", full_disks.archive, 0, 3, needs_root=True),
    Fault("the disk of a run's checkpoints is full", full_disks.checkpoint, 0, 2, needs_root=True),
    Fault("the disk of the database is full", full_disks.database, 0, 3, needs_root=True),
    Fault("the database is locked for 30 s", stores.locked_database, 0, 2),
    Fault("the clock goes back", clock.goes_back, 0, 2),
)
