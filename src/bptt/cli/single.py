"""One run, from its composed configuration to its end."""

import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bptt.cli.saying import say

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from bptt.configuration.build import Configuration
    from bptt.tracking.journal import Journal
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
        say(str(error))
        _remove_unused(folder)
        return 2


def _train(configuration: "Configuration", folder: Path) -> int:
    from bptt.cli.execute import Job, execute
    from bptt.cli.summary import remedies, result, whereabouts
    from bptt.configuration.problems import ConfigurationError
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
        journal = Journal(
            run_id=None,
            uri=None if store is None else store.address.shown,
            experiment=None if store is None else store.experiment,
            name=name,
            digest=own_digest,
            numerical_version=version,
            current_folder=str(Path.cwd()),
        )
        try:
            write_text(folder / CONFIG, config_text(recorded), durable=True)
            write_provenance(folder)
            write_journal(folder, journal)
        except OSError as error:
            says = f"hydra.run.dir={folder}: can't be written: {error.strerror or error}"
            raise ConfigurationError([says]) from error
        tracker = None
        if store is not None:
            tracker = begun(store, folder, journal, recorded)
            journal = replace(journal, run_id=tracker.run_id)
            with suppress(OSError):  # of a disk that is full by now: the run is found again by its key
                write_journal(folder, journal)
        job = Job(run=configuration.run, journal=journal, folder=folder, checkpoint_seconds=tracking.checkpoint_seconds)
        ended = execute(job, tracker, interrupts)
    say("\n".join([*result(configuration.run, journal, ended), *whereabouts(tracker, folder)]), sys.stdout)
    for line in remedies(ended, folder):
        say(line)
    if interrupts.requested:
        raise KeyboardInterrupt
    return int(ended.status == "FAILED" or ended.unstored is not None)


def begun(store: "Store", folder: Path, journal: "Journal", recorded: dict) -> "RunRecord":
    """The run in the store, begun with the configuration that is recorded. Raises StoreError."""
    from bptt.tracking.journal import key_of_run
    from bptt.tracking.keyed_run import KEY
    from bptt.tracking.parameters import flattened
    from bptt.tracking.provenance import provenance
    from bptt.tracking.record import RunRecord

    tags = provenance() | {"bptt.digest": journal.digest, KEY: key_of_run(folder, journal)}
    return RunRecord.begin(store, journal.name, flattened(recorded), tags)


def _remove_unused(folder: Path) -> None:
    """Remove the folder of a run that never began."""
    from bptt.tracking.environment import PATCH, PROVENANCE
    from bptt.tracking.files import CONFIG
    from bptt.tracking.journal import JOURNAL, LOCK

    if {path.name for path in folder.glob("*")} <= {".hydra", LOCK, CONFIG, PROVENANCE, PATCH, JOURNAL}:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # one that holds something stays
            for parent in folder.parents[:2]:
                if parent.is_relative_to(Path.cwd()) and parent != Path.cwd():
                    parent.rmdir()
