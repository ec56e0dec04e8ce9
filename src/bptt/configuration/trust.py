"""What a configuration may not do, whoever wrote its files: run code, read secrets of the environment, or let others.

`bptt` builds its own nodes (see `components`) and never calls Hydra's `instantiate`. Hydra does, for its own node: it
would call whatever `hydra.callbacks` names, and whatever is nested in the nodes of its launcher and sweeper; Python's
logging calls what `hydra.job_logging` names. All of it is looked at here, before Hydra acts on it.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from omegaconf import DictConfig, OmegaConf
from omegaconf.basecontainer import BaseContainer
from omegaconf.errors import OmegaConfBaseException

from bptt.configuration.errors import ConfigurationError, write_problem

#: Where alone `${oc.env:…}` may stand: the rest is recorded, or shows. A password in these is blotted out.
MAY_READ_ENVIRONMENT: Final = frozenset({"tracking.uri", "hydra.launcher.address"})

REFUSAL: Final = "the environment is not read here: what it holds would be recorded"

_AS_TYPED: Final = ("hydra.overrides.", "hydra.job.override_dirname")  # what the user wrote, as text
_PLUGINS: Final = ("hydra.launcher._target_", "hydra.sweeper._target_")  # Hydra itself takes none but its plugins here
_LOGGING: Final = ("hydra.job_logging", "hydra.hydra_logging")
_LOGGERS: Final = ("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "logging.Formatter")
_OBJECT: Final = re.compile(r"(ext|cfg)://(?!sys\.std(out|err)$)")
_PACKAGE: Final = re.compile(r"pkg://([^/.]+)")
_ENVIRONMENT: Final = "oc.env"
_DEEPEST: Final = 50  # a value


@contextmanager
def refuse_environment() -> Iterator[None]:
    """Within it `${oc.env:…}`, however it came about, can't be followed; `was_refused` tells it from other trouble.

    It holds for the thread that entered it: others may follow theirs meanwhile.
    """
    resolvers: dict[str, Callable[..., Any]] = BaseContainer._resolvers
    if not isinstance(resolvers[_ENVIRONMENT], _Guarded):
        resolvers[_ENVIRONMENT] = _Guarded(resolvers[_ENVIRONMENT])
    token = _REFUSED.set(True)
    try:
        yield
    finally:
        _REFUSED.reset(token)


_REFUSED: Final = ContextVar("refused", default=False)


class _Guarded:
    """The resolver of `${oc.env:…}`, asked first whether it may."""

    def __init__(self, follow: Callable[..., Any]) -> None:
        self._follow = follow

    def __call__(self, *arguments: Any) -> Any:
        if _REFUSED.get():
            raise ValueError(REFUSAL)
        return self._follow(*arguments)


def was_refused(error: OmegaConfBaseException) -> bool:
    """Whether an interpolation can't be followed as it reads the environment."""
    return REFUSAL in str(error)


def find_untrusted_folders(folders: Any, allow: Collection[str]) -> list[str]:
    """The problems with hydra.searchpath: a package is imported where it is to be looked at."""
    entries = folders if isinstance(folders, Sequence) and not isinstance(folders, str) else [folders]
    found = [(entry, _PACKAGE.match(str(entry))) for entry in entries]
    return [
        write_problem("hydra.searchpath", entry, f"imports {package[1]}, which is not allowed; a folder is file://…")
        for entry, package in found
        if package is not None and package[1] not in ("hydra", "bptt", *allow)
    ]


def find_untrusted(config: DictConfig, allow: Collection[str]) -> list[str]:
    """What is wrong with the node `hydra` of a composed configuration: see above.

    allow  packages whose classes may be named, since the command line says so
    """
    hydra = config.get("hydra")
    if hydra is None:
        return []
    found = [line for key, value in _list_values(hydra, "hydra") for line in _find_problem(key, value, allow)]
    if hydra.job.env_set:
        key = "env_copy" if hydra.job.env_copy else "env_set"
        found.append(f"hydra.job.{key}: variables are set before the command, by whoever types it")
    try:
        with refuse_environment():
            _ = hydra.sweep.dir  # its last part is the sweep's name
    except OmegaConfBaseException as error:
        if was_refused(error):
            raw: Any = OmegaConf.to_container(hydra.sweep, resolve=False)
            found.append(write_problem("hydra.sweep.dir", raw["dir"], REFUSAL))
    return list(dict.fromkeys(found))


def _find_problem(key: str, value: Any, allow: Collection[str]) -> Iterator[str]:
    last = key.rpartition(".")[2]
    if key.startswith(_AS_TYPED):
        return
    if isinstance(value, str) and _ENVIRONMENT in value and key not in MAY_READ_ENVIRONMENT:
        yield write_problem(key, value, REFUSAL)
    names_a_class = last == "_target_" or key.rpartition(".")[0] == "hydra.callbacks"
    if names_a_class and key not in _PLUGINS and str(value).partition(".")[0] not in allow:
        yield write_problem(key, value, "is no class that may be named here; allow=[PACKAGE] allows those of a package")
    if key.startswith(_LOGGING):
        if last in ("()", "class") and value not in _LOGGERS:
            yield write_problem(key, value, f"must be one of {', '.join(_LOGGERS)}")
        elif isinstance(value, str) and _OBJECT.match(value):
            yield write_problem(
                key, value, "names an object of a module, of which only sys.stdout and sys.stderr may be"
            )


def _list_values(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every value, interpolations followed as far as that can be done, with its key in full."""
    if key.count(".") > _DEEPEST:
        raise ConfigurationError([f"{key[:80]}…: refers to itself"])
    if OmegaConf.is_dict(node):
        raw: Any = OmegaConf.to_container(node, resolve=False)
        for name in node:
            yield from _list_values(_follow(node, name, raw[name]), f"{key}.{name}")
    elif OmegaConf.is_list(node):
        raw = OmegaConf.to_container(node, resolve=False)
        for place in range(len(node)):
            yield from _list_values(_follow(node, place, raw[place]), f"{key}[{place}]")
    else:
        yield key, node


def _follow(node: Any, name: Any, raw: Any) -> Any:
    """The value of a node's key, whose text is raw: what it stands for, where that can be known."""
    if isinstance(raw, str) and _ENVIRONMENT in raw:
        return raw
    try:
        return raw if OmegaConf.is_missing(node, name) else node[name]
    except OmegaConfBaseException:
        return raw  # no class and no object, then, but text


def read_allowed(config: DictConfig) -> frozenset[str]:
    """The packages that a composed configuration allows; none where that can't be read, which is told of elsewhere."""
    try:
        packages = config.get("allow")
        return frozenset(map(str, packages)) if OmegaConf.is_list(packages) else frozenset()
    except (OmegaConfBaseException, TypeError):
        return frozenset()


def find_unasked(packages: Iterable[str], asked: Collection[str]) -> list[str]:
    """The problem with packages whose classes may be named, though the user has not said so."""
    others = [package for package in packages if package not in asked]
    says = (
        "their code would run with your rights, which only a command can allow: `bptt train` with allow=[PACKAGE], any"
        " other command with --allow PACKAGE"
    )
    return [write_problem("allow", others, says)] if others else []
