"""What a sweep left: in its folder and in the store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bptt.core.run import TIMED
from bptt.tracking.folder.sweep import SweepFolder
from bptt.tracking.store.address import Address
from bptt.tracking.store.artifacts import find_local_folder
from bptt.tracking.store.whereabouts import find_whereabouts


@dataclass(frozen=True)
class Swept:
    """A sweep's folder, and what the store has of it."""

    folder: Path

    @property
    def archive(self) -> SweepFolder:
        return SweepFolder.open(self.folder)

    @property
    def address(self) -> Address:
        """Of the store that the sweep is recorded in."""
        address = find_whereabouts(self.folder, self.archive.journal, None).address
        assert address is not None
        return address

    @property
    def runs(self) -> list[Any]:
        """The store's runs, but for the sweep's own."""
        return [run for run in self._found if "mlflow.parentRunId" in run.data.tags]

    @property
    def parent(self) -> Any:
        (run,) = [run for run in self._found if "mlflow.parentRunId" not in run.data.tags]
        return run

    @property
    def _found(self) -> list[Any]:
        from mlflow import MlflowClient

        journal = self.archive.journal
        client = MlflowClient(self.address.uri)
        experiment = client.get_experiment_by_name("bptt")
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id], f"tags.`bptt.sweep` = '{journal.name}'"))

    def artifact(self, run: Any, name: str) -> Path:
        folder = find_local_folder(self.address, run.info.artifact_uri)
        assert folder is not None
        return folder / name


def newest(work: Any) -> Swept:
    return Swept(max(path for path in (work.path / "multirun").iterdir() if path.name != "runs"))


def weights(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def held(folder: Path) -> dict[str, bytes]:
    """What a folder holds."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return list(first) == list(second) and all(np.array_equal(first[name], second[name]) for name in first)


def results(archive: SweepFolder) -> dict[str, tuple[Any, ...]]:
    """What each run of a sweep left, by its name."""
    names = {job.number: job.name for job in archive.jobs()}
    return {
        names[result.job]: (result.status, result.record)
        for number in archive.blocks()
        for result in archive.results(number)
    }


def assert_same_results(first: SweepFolder, second: SweepFolder) -> None:
    mine, theirs = results(first), results(second)
    assert mine.keys() == theirs.keys()
    for name, (status, record) in mine.items():
        other_status, other = theirs[name]
        assert (status, record.outcome, record.updates) == (other_status, other.outcome, other.updates)
        assert same(dict(record.parameters), dict(other.parameters)), name
        metrics = other.history.keys() - TIMED
        assert all(np.array_equal(record.history[key], other.history[key], equal_nan=True) for key in metrics)
        assert np.array_equal(record.flow, other.flow, equal_nan=True)
