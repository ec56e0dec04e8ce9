"""Every fault: its name in the table, what does it, and how often it comes among a hundred kills."""

from dataclasses import dataclass
from typing import Final

from tests.faults import (
    changing,
    clock,
    clusters,
    full_disks,
    interrupting,
    kernels,
    killing,
    memory,
    single,
    stores,
    together,
)
from tests.faults.trial import Scenario


@dataclass(frozen=True)
class Fault:
    """A fault.

    kills   how many processes it is to end among a hundred; 0: it ends none
    trials  how many trials there are at least
    available  whether this machine has what it takes
    """

    name: str
    scenario: Scenario
    kills: int
    trials: int = 1
    needs_root: bool = False
    available: bool = True


FAULTS: Final = (
    Fault("kill -9 of the sweep's process", killing.main_process, 20),
    Fault("kill -9 of all its processes", killing.process_group, 12),
    Fault("kill -9 of a worker", killing.worker, 4),
    Fault("kill -9 of a Dask worker", clusters.dask_worker, 4),
    Fault("kill -9 of a sweep on Dask", clusters.dask_client, 4),
    Fault("kill -9 of the tracking server", stores.server, 3),
    Fault("kill -9 of bptt resume", killing.during_resume, 10),
    Fault("kill -9 of bptt sync", killing.during_sync, 8),
    Fault("kill -9 of bptt report", killing.during_report, 4),
    Fault("kill -9 of bptt rm", killing.during_rm, 4),
    Fault("kill -9 of bptt reproduce", killing.during_reproduce, 4),
    Fault("kill -9 of a single run", single.killed, 10),
    Fault("Ctrl-C", interrupting.ctrl_c, 8),
    Fault("Ctrl-C twice", interrupting.twice, 6),
    Fault("SIGTERM", interrupting.sigterm, 6),
    Fault("SIGTERM to all its processes", interrupting.sigterm_to_all, 5),
    Fault("Ctrl-C or SIGTERM in a single run", single.interrupted, 4),
    Fault("the terminal goes away", interrupting.hangup, 3),
    Fault("the reader of its output goes away", interrupting.closed_pipe, 0, 2),
    Fault("resumed twice at once", together.resumed_twice, 2),
    Fault("resumed three times at once", together.resumed_thrice, 2),
    Fault("resumed three times while it runs", together.resumed_while_it_runs, 0),
    Fault("two sweeps at once in a fresh folder", together.two_sweeps, 0, 2),
    Fault("three sweeps at once in a fresh folder", together.three_sweeps, 0),
    Fault("four sweeps at once in a fresh folder", together.four_sweeps, 0),
    Fault("one sweep begun twice at once", together.same_sweep_twice, 0, 2),
    Fault("the disk of the sweep's folder is full", full_disks.archive, 0, 3, needs_root=True),
    Fault("the disk of a run's checkpoints is full", full_disks.checkpoint, 0, 2, needs_root=True),
    Fault("the disk of the database is full", full_disks.database, 0, 3, needs_root=True),
    Fault("a disk of 30 MB is full", full_disks.project, 0, 2, needs_root=True),
    Fault("the disk has no inode left", full_disks.inodes, 0, 3, needs_root=True),
    Fault("resumed where no inode is left", full_disks.resumed_without_inodes, 0, 3, needs_root=True),
    Fault("a folder can only be read by now", full_disks.read_only, 0, 3, needs_root=True),
    Fault("the system kills a worker for its memory", memory.worker, 2, needs_root=True, available=memory.AVAILABLE),
    Fault("there is little memory", memory.little, 0, 4),
    Fault("the database is locked for 30 s", stores.locked_database, 0, 2),
    Fault("the database is locked for a minute", stores.locked_for_a_minute, 0),
    Fault("bits of the database are flipped", changing.flipped, 0, 3),
    Fault("a run is deleted in MLflow", changing.run_deleted, 0, 2),
    Fault("the sweep's own run is deleted in MLflow", changing.sweep_deleted, 0, 2),
    Fault("the experiment is deleted in MLflow", changing.experiment_deleted, 0, 2),
    Fault("a run is deleted, and mlflow gc", changing.collected, 0, 2),
    Fault("a server hangs, answers 429, 500 or half", stores.unruly_server, 0, 4),
    Fault("hostile names in a store", changing.hostile_names, 0),
    Fault("a planted kernel", kernels.planted, 0, 3, needs_root=True),
    Fault("the clock goes back", clock.goes_back, 0, 2),
    Fault("the clock jumps", clock.jumps, 0, 2),
    Fault("the year is 2100", clock.in_2100, 0, 2),
)
