"""What an experiment or a sweep says of a choice falls away where another choice stands in its place.

`experiment=zhu_adder` takes `model=elman` and sets `model.activation`. With `model=lstm` beside it, what the experiment
sets for its own model means nothing, or another thing: it is left out, and a line says so. A task brings along its loss
and its read-out, and a model its gates: what the experiment says of them goes with the one that was replaced.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any, Final

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra.core.default_element import ConfigDefault, GroupDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bptt.configuration.errors import quote

#: What is set for a choice beside the values of its own group.
_BESIDE: Final = {"task": ("loss", "model.readout"), "model": ("init.gate_bias",)}
_HYDRA: Final = "hydra/"
_DELETED: Final = "~"
_WORDS: Final = re.compile(r"[\w./-]+")
#: By source and name what a file held when it was parsed last, and what came of it.
_PARSED: Final[dict[tuple[str, str, str], tuple[bytes, ConfigResult]]] = {}


class Loader(ConfigLoaderImpl):
    """Hydra's loader, for which what is said of a choice that was replaced falls away; `take_told` says what did.

    given  of a job of a sweep, keys that are set after what is composed; None: it is what a command asks for
    """

    def __init__(self, search_path: Any) -> None:
        super().__init__(search_path)
        self.repository = _Files(search_path)
        self.given: frozenset[str] | None = None
        self._found: dict[str, None] = {}
        self._told = 0

    def take_told(self) -> list[str]:
        """A line for each choice of a file that was replaced, if this was not asked before."""
        lines = [*self._found][self._told :]
        self._told = len(self._found)
        return lines

    def _compose_config_from_defaults_list(self, *given: Any, **named: Any) -> DictConfig:
        config = super()._compose_config_from_defaults_list(*given, **named)
        if isinstance(tags := config.get("tags"), DictConfig):
            OmegaConf.set_struct(tags, False)  # their names are the user's, of which Hydra knows none before
        return config

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        parsed, repository = super()._parse_overrides_and_create_caching_repo(config_name, overrides)
        with suppress(OmegaConfBaseException):  # of a file that can't be read so; Hydra tells of it
            self._found |= dict.fromkeys(_Choices(config_name, parsed, repository).drop_replaced(self.given))
        return parsed, repository


class _Files(ConfigRepository):
    """Hydra's files of some folders, each parsed once as long as it stays as it is.

    A sweep is composed some times, of the same twenty files, whose parsing takes a third of that.
    """

    def load_config(self, config_path: str) -> ConfigResult | None:
        """What a file says, for the caller to change; None where there is none."""
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        content = None if source is None else _read(source, config_path)
        if source is None or content is None:
            return super().load_config(config_path)
        key = (source.provider, source.full_path(), config_path)
        before, found = _PARSED.get(key, (None, None))
        if found is None or before != content:
            found = super().load_config(config_path)
            if found is None:
                return None
            _PARSED[key] = content, found
        return deepcopy(found)


def _read(source: ConfigSource, config_path: str) -> bytes | None:
    """What the file holds; None of a source that has no files, and where it can't be read, which Hydra tells of."""
    name = f"{config_path.removesuffix('.yaml')}.yaml"
    try:
        # Hydra imports the classes of its sources once more for itself, so that `isinstance` knows none of them.
        if source.scheme() == "file":
            return (Path(source.path) / name).read_bytes()
        if source.scheme() == "pkg":
            return resources.files(source.path).joinpath(name).read_bytes()
    except OSError:
        pass
    return None


class _Choices:
    """The choices of a composition: of the command line, then of its sweep's file, of its experiment's, of others.

    What is loaded stays in the repository's cache, where Hydra finds it as it is left here.
    """

    def __init__(self, primary: str | None, parsed: Sequence[Override], repository: CachingConfigRepository) -> None:
        self._primary, self._repository = primary, repository
        self._loaded: dict[str, ConfigResult | None] = {}
        self._losses: dict[str, Any] = {}  # of files, those that yield to a task's
        self._typed = {
            override.key_or_group: _DELETED if override.is_delete() else override.value()
            for override in parsed
            if _is_choice(override) and repository.group_exists(override.key_or_group)
        }
        self._values = [key for override in parsed if (key := override.key_or_group) not in self._typed]

    def drop_replaced(self, given: Iterable[str] | None) -> Iterator[str]:
        """Leave out what was replaced, in the files that set it; a line for each choice of a file that was.

        given  see `Loader`: what a sweep varies has been read when its jobs are composed
        """
        primary = self._load(self._primary)
        if primary is None:
            return
        settled = dict(self._typed)
        files: dict[str, ConfigResult] = {}  # that set what is of other groups
        for group, value in reversed(_list_choices(primary, overriding=False)):
            chosen = settled.setdefault(group, value)
            if isinstance(chosen, str) and chosen != _DELETED:
                for path in self._list_files(f"{group}/{chosen}"):
                    self._settle(primary, path, settled)
                    if (found := self._load(path)) is not None and found.header.get("package") == "_global_":
                        files[path] = found
        later = [*self._values, *(given or ())]
        for path, found in files.items():
            said, loss = self._gather(path), dict(_list_choices(found, overriding=True)).get("loss")
            # The task first: what it brings along is told of with it.
            for group in sorted({*said, *self._typed}, key=lambda group: (group != "task", group)):
                gone: dict[str, dict[str, None]] = {}  # of each choice that was meant, what falls away
                dropped = [*self._drop(found, group, said, settled, self._losses.get(path, loss))]
                if given is None:
                    dropped += self._drop_axes(found.config, group, said, settled.get(group))
                for meant, key, value in dropped:
                    if not _is_set(key, later):
                        gone.setdefault(meant, {})[f"{key}={quote(value)}"] = None
                for meant, texts in gone.items():
                    yield _write_line(path.replace("/", "="), [*texts], f"{group}={meant}", group, settled[group])
            later += [*_list_keys(found.config), *_list_swept(found.config)]

    def _drop(
        self, found: ConfigResult, group: str, said: Mapping[str, Any], settled: Mapping[str, Any], loss: str | None
    ) -> Iterator[tuple[str, str, Any]]:
        """Leave out what a file says of a choice of a group that stands no more: that choice, and keys with values.

        said  what the file chooses, by itself and by others;  settled  what stands;  loss  which it chooses by itself
        """
        assert isinstance(found.config, DictConfig)
        stands, meant = settled.get(group), said.get(group)
        if group in said and stands != meant and not _sweeps(found.config, group, stands):
            dropped = [*_drop_keys(found.config, (group, *_BESIDE.get(group, ())))]
            if group == "task" and loss not in (None, settled.get("loss")) and "loss" not in self._typed:
                dropped.append(("loss", loss))
            if isinstance(tune := found.config.get("tune"), DictConfig):
                dropped += self._drop_lacking(tune, group, stands)
                if not {*tune} - {"seeds"}:
                    del found.config["tune"]
            yield from ((str(meant), key, value) for key, value in dropped)

    def _drop_axes(
        self, config: Any, group: str, said: Mapping[str, Any], stands: Any
    ) -> Iterator[tuple[str, str, Any]]:
        """Leave out what a file sweeps and what the choice that stands does not have."""
        for node, inherited in _list_nodes(config):
            own = [values for key, values in _read_columns(node) if key == group]
            if own and group not in self._typed:
                continue
            meant = own or inherited.get(group) or [said.get(group, stands)]
            if _names(meant, stands):
                continue
            lost = [lost for columns in _list_columns(node) for lost in self._drop_lacking(columns, group, stands)]
            yield from ((" or ".join(_list_words(meant)), *one) for one in lost)
            if OmegaConf.is_list(exclude := node.get("exclude")):
                gone = {key for key, _ in lost}
                node["exclude"] = [one for one in exclude if not (OmegaConf.is_dict(one) and {*one} & gone)]

    def _drop_lacking(self, columns: DictConfig, group: str, choice: Any) -> Iterator[tuple[str, Any]]:
        for key in [str(key) for key in columns]:
            lacks = key.startswith(f"{group}.") and not self._has(group, choice, key.removeprefix(f"{group}."))
            if lacks or (group == "model" and key.startswith(_BESIDE["model"])):
                yield key, OmegaConf.to_container(columns, resolve=False)[key]  # type: ignore[call-overload,index]
                del columns[key]

    def _has(self, group: str, choice: Any, name: str) -> bool:
        """Whether a choice, or what stands beside the choices of its group, has a value of this name."""
        files = [self._load(f"{group}/{choice}"), self._load(self._primary)]
        configs = [found.config if found is not None else OmegaConf.create() for found in files]
        for node in (configs[0], OmegaConf.select(configs[1], group)):
            parent, _, last = name.rpartition(".")
            within = OmegaConf.select(node, parent) if parent and isinstance(node, DictConfig) else node
            if isinstance(within, DictConfig) and last in within:
                return True
        return False

    def _load(self, path: str | None) -> ConfigResult | None:
        """The file, which may be changed; None where there is none that can be read, of which Hydra tells."""
        if path is None:
            return None
        if path not in self._loaded:
            found = self._repository.load_config(path) if self._repository.config_exists(path) else None
            self._loaded[path] = found if found is not None and isinstance(found.config, DictConfig) else None
        return self._loaded[path]

    def _list_files(self, path: str) -> list[str]:
        """A file, and those of its group that it builds on, the last of which has precedence."""
        found, paths = self._load(path), [path]
        if found is not None:
            names = [entry.path for entry in found.defaults_list or [] if isinstance(entry, ConfigDefault)]
            inner = [f"{path.rpartition('/')[0]}/{name}" for name in names if name and name != "_self_"]
            paths += [one for other in reversed(inner) if other != path for one in self._list_files(other)]
        return paths

    def _settle(self, primary: ConfigResult, path: str, settled: dict[str, Any]) -> None:
        """Take what a file chooses, unless it was chosen before, or comes with a choice in the place of its own."""
        found = self._load(path)
        own = {} if found is None else dict(_list_choices(found, overriding=True))
        brought = self._bring_along(own, settled)
        for key, value in own.items():
            if key not in settled and key in brought:
                self._losses[path] = value
                _drop_choice(found, key)  # type: ignore[arg-type]
            else:
                settled.setdefault(key, value)
            if key.startswith(_HYDRA):
                _drop_choice(primary, key)  # which Hydra would prefer to the file that was chosen

    def _bring_along(self, own: Mapping[str, Any], settled: Mapping[str, Any]) -> set[str]:
        """The groups of which a choice that stands in the place of the file's own chooses by itself."""
        found: set[str] = set()
        for group, value in own.items():
            other = settled.get(group, value)
            loaded = self._load(f"{group}/{other}") if isinstance(other, str) and other != value else None
            if loaded is not None and loaded.header.get("package") != "_global_":
                found |= {*dict(_list_choices(loaded, overriding=True))}
        return found

    def _gather(self, path: str, known: frozenset[str] = frozenset()) -> dict[str, Any]:
        """What a file chooses, by itself, by those that it builds on, and by the files that it chooses."""
        said: dict[str, Any] = {}
        if path not in known:
            for inner in self._list_files(path):
                loaded = self._load(inner)
                for group, value in _list_choices(loaded, overriding=True) if loaded is not None else []:
                    said.setdefault(group, value)
                if inner in self._losses:
                    said.setdefault("loss", self._losses[inner])
            for group, value in [*said.items()]:
                if isinstance(value, str):
                    said = self._gather(f"{group}/{value}", known | {path}) | said
        return said


def _is_choice(override: Override) -> bool:
    """Whether an override, if its key is a group's, chooses one of it."""
    return (
        override.package is None
        and not override.is_sweep_override()
        and (override.is_delete() or override.value() is None or isinstance(override.value(), str))
    )


def _list_choices(loaded: ConfigResult, overriding: bool) -> list[tuple[str, Any]]:
    """The choices of a file's defaults list, in its order: its own, or those by which it overrides others'."""
    return [
        (group, entry.value)
        for entry in loaded.defaults_list or []
        if isinstance(entry, GroupDefault) and entry.is_override() == overriding
        for group in [str(entry.group).removeprefix("/")]
        if entry.package in (None, f"_global_.{group}")
    ]


def _drop_choice(loaded: ConfigResult, group: str) -> None:
    loaded.defaults_list = [
        entry
        for entry in loaded.defaults_list or []
        if not (isinstance(entry, GroupDefault) and entry.is_override() and str(entry.group).removeprefix("/") == group)
    ]


def _write_line(name: str, dropped: Sequence[str], meant: str, group: str, stands: Any) -> str:
    instead = f"~{group}" if stands == _DELETED else f"{group}={quote(stands)}"
    verbs = ("is", "falls") if len(dropped) == 1 else ("are", "fall")
    return f"{name}: {', '.join(dropped)} {verbs[0]} for {meant}, and {verbs[1]} away with {instead}"


def _drop_keys(config: DictConfig, keys: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for key in keys:
        parent, _, last = key.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        if isinstance(node, DictConfig) and last in node:
            raw = OmegaConf.to_container(node, resolve=False)
            assert isinstance(raw, dict)
            yield from _list_leaves(key, raw[last])
            del node[last]


def _list_leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _list_leaves(f"{key}.{name}", inner)
    else:
        yield key, value


def _list_keys(config: Any) -> Iterator[str]:
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    yield from (key for name, value in raw.items() if name != "hydra" for key, _ in _list_leaves(str(name), value))


def _is_set(key: str, others: Iterable[str]) -> bool:
    return any(key == other or key.startswith(f"{other}.") or other.startswith(f"{key}.") for other in others)


def _list_nodes(config: DictConfig) -> list[tuple[DictConfig, dict[str, list[Any]]]]:
    """The nodes of a file that sweep: `hydra.sweeper`, and its unions with what they have in common with it."""
    sweeper = OmegaConf.select(config, "hydra.sweeper")
    if not isinstance(sweeper, DictConfig):
        return []
    common: dict[str, list[Any]] = {}
    for key, values in _read_columns(sweeper):
        common.setdefault(key, []).append(values)
    lists = [sweeper.get(name) for name in ("unions", "blocks")]
    unions = [node for nodes in lists if OmegaConf.is_list(nodes) for node in nodes]
    return [(sweeper, {}), *((node, common) for node in unions if isinstance(node, DictConfig))]


def _list_columns(node: DictConfig) -> list[DictConfig]:
    groups = node.get("zip")
    found = [node.get("params"), *(groups if OmegaConf.is_list(groups) else [])]
    return [columns for columns in found if isinstance(columns, DictConfig)]


def _read_columns(node: DictConfig) -> Iterator[tuple[str, Any]]:
    """The keys that a node sweeps, and their values as they are written."""
    for columns in _list_columns(node):
        raw = OmegaConf.to_container(columns, resolve=False)
        assert isinstance(raw, dict)
        yield from ((str(key), values) for key, values in raw.items())


def _list_swept(config: Any) -> list[str]:
    return [key for node, _ in _list_nodes(config) for key, _ in _read_columns(node)]


def _sweeps(config: DictConfig, group: str, choice: Any) -> bool:
    """Whether a file itself gives this choice among those that it sweeps."""
    columns = [column for node, _ in _list_nodes(config) for column in _read_columns(node)]
    return _names([values for key, values in columns if key == group], choice)


def _names(values: Iterable[Any], choice: Any) -> bool:
    """Whether values of a file, lists or texts in Hydra's grammar, name a choice."""
    words = _list_words(values)
    return str(choice) in words or "glob" in words


def _list_words(values: Iterable[Any]) -> list[str]:
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return list(dict.fromkeys(word for text in texts for word in _WORDS.findall(str(text))))
