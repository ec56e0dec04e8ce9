"""Archives of the shipped sweeps: found where they are finished, gone on with where broken off, else trained."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from bptt.configuration.compose import Composer
from bptt.configuration.vocabulary import find_conf_folder
from bptt.sweeps.jobs.composition import Composition
from bptt.sweeps.jobs.grammar import expand
from bptt.tracking.folder.sweep import SweepFolder, is_sweep
from bptt.tracking.provenance.digest import compute_digest, compute_version
from docs.make_results.proofs import PREFIX

_SEARCH: Final = "_target_"


class TrainingError(Exception):
    """A sweep did not end as it should; one line."""


def list_shipped() -> list[str]:
    """The names of the shipped sweeps but those of `list_published`."""
    return sorted(path.stem for path in (find_conf_folder() / "sweep").glob("*.yaml"))


def list_published() -> list[str]:
    """The names of the shipped sweeps that are held against a source."""
    return sorted(f"{PREFIX}{path.stem}" for path in (find_conf_folder() / "sweep" / PREFIX).glob("*.yaml"))


def train(name: str, root: Path) -> Path:
    """The folder of the finished archive of a sweep, which is trained, or gone on with, as far as that is missing.

    root  where the folders are. A folder's name tells by which configurations and numerical version it was trained, so
          that another one is begun where any of that has changed

    Raises TrainingError.
    """
    folder = root / f"{name.replace('/', '-')}-{compute_fingerprint(name)}"
    if not is_sweep(folder):
        _run_bptt("train", f"sweep={name}", f"hydra.sweep.dir={folder}")
    elif SweepFolder.open(folder).journal.status != "FINISHED":
        _run_bptt("resume", str(folder))
    status = SweepFolder.open(folder).journal.status
    if status != "FINISHED":
        raise TrainingError(f"{folder}: {status}; see what failed with `bptt report {folder}`")
    return folder


def compute_fingerprint(name: str) -> str:
    """Eight hexadecimal characters that change with any run of a sweep, and with the numerical version."""
    with initialize_config_dir(str(find_conf_folder()), version_base="1.3", job_name="bptt"):
        composer = Composer(GlobalHydra.instance().config_loader(), "config")
        config = composer.compose([f"sweep={name}"], RunMode.MULTIRUN)
        sweeper = OmegaConf.to_container(config.hydra.sweeper)
        assert isinstance(sweeper, dict)
        settings = {str(key): value for key, value in sweeper.items()}
        own = [f"sweep={name}"]
        search = not str(settings[_SEARCH]).endswith(".GridSweeper")
        # A search asks for its runs while it goes on.
        jobs = [tuple(own)] if search else expand(settings, own)
        told = [compute_digest(run.resolved, compute_version()) for run in Composition(composer, config).all(jobs)]
    told += [
        str(config.question),
        str(config.solved),
        str(config.conditions),
        str(config.tune),
        str(config.confirm),
        str(config.measure),
    ]
    told += [json.dumps(settings) if search else ""]
    return sha256("\n".join(told).encode()).hexdigest()[:8]


def _run_bptt(*words: str) -> None:
    ended = subprocess.run([sys.executable, "-m", "bptt", *words], check=False)
    if ended.returncode:
        raise TrainingError(f"bptt {' '.join(words)}: ended with exit code {ended.returncode}")
