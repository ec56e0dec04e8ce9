"""What all tests would pay for, and none looks at: collecting garbage, and reading and composing the same again."""

import gc
import pickle
from collections.abc import Mapping, Sequence
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

from hydra._internal import defaults_list
from hydra.core.utils import JobRuntime
from omegaconf import DictConfig, _utils, base, grammar_parser

#: Objects that are made between two collections of garbage, and how many collections make one of older objects.
_OBJECTS, _COLLECTIONS = 50_000, 20
#: How many compositions are kept, those that were asked for last: twenty kilobytes each.
_COMPOSED = 2_000
#: Parts of overrides by which a composition hangs on more than overrides and shipped files.
_FROM_ELSEWHERE = ("searchpath", "env_copy")


def read_interpolations_once() -> None:
    """Have OmegaConf, which composes some hundred configurations here, keep what its grammar made of a text.

    A configuration is composed in a sixth less time.
    """
    kept = lru_cache(maxsize=10_000)(grammar_parser.parse)
    for module in (grammar_parser, base, _utils):
        module.parse = kept  # type: ignore[attr-defined]


def list_choices_where_asked() -> None:
    """Have Hydra list what was chosen for those files alone whose defaults ask for it; it does so for every file.

    A configuration is composed in a quarter less time.
    """
    make: Any = defaults_list._create_interpolation_map

    @wraps(make)
    def make_where_asked(overrides: Any, defaults: Sequence[Any], self_added: bool) -> Any:
        asked = any(default.is_interpolation() for default in defaults)
        return make(overrides, [*defaults], self_added) if asked else None

    where_asked: Any = make_where_asked
    defaults_list._create_interpolation_map = where_asked


def compose_once() -> None:
    """Have Hydra's loader give a copy of what it composed of the same overrides and shipped files before.

    Many commands that are refused differ in a file that they name, or are composed once more without what is wrong.
    """
    from bptt.configuration.replaced import Loader

    compose: Any = Loader.load_configuration
    kept: dict[Any, tuple[bytes, dict[str, None]]] = {}

    @wraps(compose)
    def compose_or_copy(self: Loader, **asked: Any) -> DictConfig:
        key = _describe(self, asked)
        if key in kept:
            kept[key] = pickled, told = kept.pop(key)
            self._found |= told
            config: DictConfig = pickle.loads(pickled)
            config.hydra.runtime.cwd = str(Path.cwd())
            return config
        before, self._found = self._found, {}
        try:
            config = compose(self, **asked)
        finally:
            told, self._found = self._found, before | self._found
        if key is not None:
            if len(kept) == _COMPOSED:
                del kept[next(iter(kept))]
            kept[key] = pickle.dumps(config, pickle.HIGHEST_PROTOCOL), told
        return config

    once: Any = compose_or_copy
    Loader.load_configuration = once  # type: ignore[method-assign]


def _describe(loader: Any, asked: Mapping[str, Any]) -> Any:
    """All that a composition hangs on; None where that is more than the shipped files, which stay as they are."""
    from bptt.configuration.vocabulary import find_conf_folder

    folder = find_conf_folder()
    shipped = {str(folder), f"file://{folder}", "pkg://hydra.conf", "structured://"}
    paths = tuple(str(element.path) for element in loader.get_search_path().get_path())
    overrides = tuple(asked["overrides"])
    if not {*paths} <= shipped or any(word in text for text in overrides for word in _FROM_ELSEWHERE):
        return None
    others = (asked[name] for name in sorted({*asked} - {"overrides"}))
    return paths, overrides, *others, loader.given, JobRuntime.instance().get("name")


def collect_less_garbage() -> None:
    """Leave what is there by now out of all collections, and have fewer of them: a tenth of composing is that."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS, _COLLECTIONS, _COLLECTIONS)
