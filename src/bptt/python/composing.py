"""What a call asks for, composed and checked before anything starts; by one thread at a time, as Hydra composes."""

import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from hydra._internal.utils import create_config_search_path
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bptt.configuration.build import Configuration
from bptt.configuration.compose import COMPOSING, Composer, add_folder
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.hydra import asks_for_sweep, choose_defaults
from bptt.configuration.owners import check_kernel_folder
from bptt.configuration.replaced import Loader
from bptt.configuration.vocabulary import find_conf_folder
from bptt.python.choices import ObjectChoices
from bptt.python.keywords import split_texts, write_overrides
from bptt.sweeps.composing import check_single
from bptt.tracking.folder.files import MULTIRUN
from bptt.tracking.store.address import refuse_password

_ALLOW: Final = "allow"
#: What is in memory is written here, in a run's folder or beside all runs, by its content's hash.
_DATA: Final = "data"


class KeptFolder:
    """A temporary folder that is there as long as this object, or the process."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="bptt-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class ComposedRun:
    """A single run that was asked for.

    folder     as its configuration says
    overrides  that it was composed of, as for `bptt train`, without Hydra's own
    told       a line for all that fell away
    fitted     what was chosen by the task's targets, in a line; None: nothing was
    """

    configuration: Configuration
    folder: Path
    overrides: list[str]
    told: list[str]
    fitted: str | None


@contextmanager
def list_overrides(
    texts: Sequence[str | Sequence[str]], keys: Mapping[str, Any], data: Callable[[], Path], *, swept: bool
) -> Iterator[tuple[list[str], ObjectChoices]]:
    """The overrides that a call asks for, and the choices that its objects stand for, which are there until it is left.

    data   makes the folder for data that are in memory
    swept  see `write_overrides`

    Raises ConfigurationError.
    """
    with ObjectChoices(data) as choices:
        rest = {key: value for key, value in keys.items() if key != _ALLOW}
        found = [*split_texts(texts), *write_overrides(rest, choices, swept=swept)]
        given = keys.get(_ALLOW, ())
        allowed = [*([given] if isinstance(given, str) else given), *choices.allowed]
        if allowed:
            found += write_overrides({_ALLOW: list(dict.fromkeys(allowed))}, choices, swept=False)
        yield found, choices


def compose_run(
    texts: Sequence[str | Sequence[str]],
    keys: Mapping[str, Any],
    config_dir: str | Path | None = None,
    data: Callable[[], Path] | None = None,
) -> ComposedRun:
    """The single run that texts and keywords ask for, see `bptt.train`.

    data  makes the folder for data that are in memory; None: there may be none

    Raises ConfigurationError with a line for everything that is wrong, and StoreError as `check_single` does.
    """
    with list_overrides(texts, keys, data or _refuse_data, swept=False) as (overrides, choices):
        check_kernel_folder()
        for override in overrides:
            refuse_password(override)
        with COMPOSING:
            composer = make_composer([config_dir, choices.own])
            config = composer.compose(overrides, RunMode.RUN)
            parsed, _ = composer.parse(overrides)
            if asks_for_sweep(config, parsed):
                raise ConfigurationError(["this asks for a sweep, and bptt.train trains one run; use bptt.sweep"])
            configuration = check_single(config, parsed, overrides)
            return ComposedRun(
                configuration=configuration,
                folder=Path(str(config.hydra.run.dir)),
                overrides=list_given(config),
                told=composer.take_told(),
                fitted=configuration.told,
            )


def add_tracking(keys: Mapping[str, Any], tracking: bool | Mapping[str, Any] | None) -> dict[str, Any]:
    """The keys, with what is said of tracking."""
    if tracking is None:
        return dict(keys)
    said = {"enabled": tracking} if isinstance(tracking, bool) else tracking
    return {**keys, "tracking": said}


def place_data(place: Path | None) -> Callable[[], Path]:
    """What makes the folder for data in memory: in a run's own folder, or beside all runs."""

    def make() -> Path:
        folder = Path(MULTIRUN if place is None else place) / _DATA
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError([f"{folder}: can't be written: {error.strerror or error}"]) from None
        return folder

    return make


def make_composer(folders: Sequence[str | Path | None]) -> Composer:
    """A composer that knows the shipped choices and those of folders; the last folder has precedence."""
    choose_defaults()
    setup_globals()
    path = create_config_search_path(str(find_conf_folder()))
    for folder in folders:
        if folder is not None:
            if not Path(folder).is_dir():
                raise ConfigurationError([f"config_dir={folder}: no such folder"])
            add_folder(path, Path(folder))
    return Composer(Loader(path), "config")


def list_given(config: DictConfig) -> list[str]:
    """The overrides that a configuration was composed of, without Hydra's own, as they were given."""
    given = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    assert isinstance(given, list)
    return given


def _refuse_data() -> Path:
    raise ConfigurationError(["task: data in memory are kept with a run; bptt.train has one"])
