"""What `hydra.launcher.slurm` says of the jobs that Slurm is asked for."""

import re
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Final

from bptt.core.annotations import InvalidValue, Range

_WORD: Final = re.compile(r"[\w.,:@%+=&|*()\[\]/][\w.,:@%+=&|*()\[\]/-]*", re.ASCII)  # nothing that begins an option

_MEMORY: Final = re.compile(r"\d+(\.\d+)? ?[KMGT]i?B", re.ASCII)

_WALLTIME: Final = re.compile(r"(\d+-)?\d+:\d\d:\d\d", re.ASCII)

#: Settings that are options of sbatch, under the same names.
_OPTIONS: Final = ("qos", "constraint", "reservation", "nodelist", "exclude", "licenses", "gres", "nice")


@dataclass(frozen=True, kw_only=True)
class SlurmSettings:
    """The jobs of a sweep: each is so many workers, which train a block each.

    partition    where jobs are queued; None: the cluster's own choice, or that of the user's configuration of Dask
    account      that pays for them; None: the same
    cores        of a job, each of which is a worker
    memory       of a job, as 2GB; all workers share it
    walltime     after which Slurm ends a job, as 01:00:00 or 1-00:00:00; a job that was ended is replaced
    minimum      of the jobs that are kept, however little there is to train
    maximum      of the jobs that are queued or run at a time
    interface    network interface by which nodes and this machine reach each other, as ib0; None: that of the host name
    logs         folder for what jobs print, which this machine and the nodes must have; None: it is thrown away
    qos, constraint, reservation, nodelist, exclude, licenses, gres, nice
                 as sbatch takes them; None: not said
    exclusive    whether nodes are shared with no other job
    """

    partition: str | None = None
    account: str | None = None
    cores: Annotated[int, Range(at_least=1)] = 1
    memory: str = "2GB"
    walltime: str = "01:00:00"
    minimum: Annotated[int, Range(at_least=0)] = 0
    maximum: Annotated[int, Range(at_least=1)] = 4
    interface: str | None = None
    logs: Path | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    nodelist: str | None = None
    exclude: str | None = None
    licenses: str | None = None
    gres: str | None = None
    nice: Annotated[int, Range(at_least=-(2**31), at_most=2**31)] | None = None
    exclusive: bool = False

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if name not in ("memory", "walltime") and isinstance(value, str) and not _WORD.fullmatch(value):
                raise InvalidValue(name, value, "must be a word as sbatch takes it, without blanks and quotes")
        if not _MEMORY.fullmatch(self.memory):
            raise InvalidValue("memory", self.memory, "must be a number and a unit, as 500MB or 2GB")
        if not _WALLTIME.fullmatch(self.walltime):
            raise InvalidValue("walltime", self.walltime, "must be HOURS:MINUTES:SECONDS or DAYS-HOURS:MINUTES:SECONDS")
        if self.minimum > self.maximum:
            raise InvalidValue("minimum", self.minimum, f"must be at most maximum={self.maximum}")
        if self.logs is not None and not re.fullmatch(r"[^\s%\\]+", str(self.logs)):
            raise InvalidValue("logs", str(self.logs), "must be a folder's path without blanks, % and backslashes")

    def count_workers(self, wanted: int | None) -> int:
        """How many tasks are computed at a time: one for each core of all jobs, and no more than are wanted."""
        return min(wanted or sys.maxsize, self.maximum * self.cores)

    def list_directives(self) -> list[str]:
        """Options of sbatch beside those that dask-jobqueue has arguments for."""
        given = {name: getattr(self, name) for name in _OPTIONS}
        options = [f"--{name}={value}" for name, value in given.items() if value is not None]
        return options + ["--exclusive"] * self.exclusive
