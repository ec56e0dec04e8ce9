"""One run, from its composed configuration to its end."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from bptt.configuration.build import Configuration
    from bptt.tracking.record import RunRecord
    from bptt.tracking.store import Store


def train_one(config: "DictConfig") -> int:
    """Train the run and record it; returns the exit code. Raises KeyboardInterrupt when it was interrupted."""
    from hydra.core.hydra_config import HydraConfig

    from bptt.configuration.build import checked
    from bptt.configuration.problems import ConfigurationError
    from bptt.tracking.address import StoreError

    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        return _train(checked(config), folder)
    except (ConfigurationError, StoreError) as error:
        print(error, file=sys.stderr)
        _remove_unused(folder)
        return 2


def _train(configuration: "Configuration", folder: Path) -> int:
    from bptt.cli.execute import Job, execute
    from bptt.cli.summary import remedies, result, whereabouts
    from bptt.sweeps.interrupts import Interrupts
    from bptt.sweeps.naming import run_name
    from bptt.tracking.digest import current_version, digest
    from bptt.tracking.environment import write_provenance
    from bptt.tracking.files import CONFIG, config_text, write_text
    from bptt.tracking.journal import LOCK, Journal, write_journal
    from bptt.tracking.lock import file_lock
    from bptt.tracking.parameters import without_secrets
    from bptt.tracking.store import open_store

    tracking, recorded = configuration.tracking, without_secrets(configuration.resolved)
    name, version = run_name(configuration.resolved), current_version()
    own_digest = digest(configuration.resolved, version)
    store = open_store(tracking.uri, tracking.experiment) if tracking.enabled else None
    with Interrupts() as interrupts, file_lock(folder / LOCK):
        tracker = None if store is None else _begun(store, name, recorded, own_digest)
        journal = Journal(
            run_id=None if tracker is None else tracker.run_id,
            uri=None if store is None else store.address.shown,
            experiment=None if store is None else store.experiment,
            name=name,
            digest=own_digest,
            numerical_version=version,
            current_folder=str(Path.cwd()),
        )
        write_text(folder / CONFIG, config_text(recorded))
        write_provenance(folder)
        write_journal(folder, journal)
        job = Job(run=configuration.run, journal=journal, folder=folder, checkpoint_seconds=tracking.checkpoint_seconds)
        ended = execute(job, tracker, interrupts)
    print("\n".join([*result(configuration.run, journal, ended), *whereabouts(tracker, folder)]), flush=True)
    print("".join(f"{line}\n" for line in remedies(ended, folder)), end="", file=sys.stderr, flush=True)
    if interrupts.requested:
        raise KeyboardInterrupt
    return int(ended.status == "FAILED" or ended.unstored is not None)


def _begun(store: "Store", name: str, recorded: dict, own_digest: str) -> "RunRecord":
    from bptt.tracking.parameters import flattened
    from bptt.tracking.provenance import provenance
    from bptt.tracking.record import RunRecord

    return RunRecord.begin(store, name, flattened(recorded), provenance() | {"bptt.digest": own_digest})


def _remove_unused(folder: Path) -> None:
    """Remove the folder that Hydra made for a run that never began."""
    if {path.name for path in folder.glob("*")} <= {".hydra"}:
        shutil.rmtree(folder, ignore_errors=True)
