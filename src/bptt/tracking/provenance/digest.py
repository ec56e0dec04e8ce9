"""What makes two runs the same run: the part of the configuration that decides the numbers, and the code's version."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import CodeType
from typing import Any

from bptt.core.sources import hash_sources, package_hash, read_modules
from bptt.tasks.moved import update_target

# Where results go, what may be imported, and what a user calls it: nothing that a number depends on.
_NOT_NUMERICAL = frozenset({"tracking", "allow", "tags"})
_MAIN = "__main__"
# Of `train`, and of its `early_stop`, what says no more than its absence.
_UNSAID = {"measure": [], "keep": "last", "keep_by": "loss/eval"}
_UNSAID_OF_STOP = {"patience": None}


def compute_digest(config: Mapping[str, Any], numerical_version: str) -> str:
    """Sixteen hexadecimal characters that two runs share exactly when they give the same bits.

    Over the resolved configuration without `tracking` and `tags`, and the numerical version. A number counts by its
    value (1 and 1.0 are the same); a `path`, or `y_path`, that names a file counts by the file's content, wherever it
    lies, and a class of the user's by the sources of its package. A part that a run can do without counts as little
    where it says what its absence means, and so does a task's value that its class has a default for, and what a run of
    before there was `train.measure`, `train.keep` or `train.early_stop.patience` did: runs that were recorded before
    there was the part, or the key, are still the same ones.
    """
    return Digester(numerical_version).compute(config)


class SplitDigest:
    """Computes digests of configurations that have all in common but one number: what is before it and behind it."""

    def __init__(self, before: Any, after: str) -> None:
        self._before, self._after = before, after

    def compute(self, number: int) -> str:
        """The digest of the one with this number."""
        found = self._before.copy()
        found.update(f"{number}{self._after}".encode())
        return str(found.hexdigest()[:16])


class Digester:
    """Computes the digests of many configurations, see `compute_digest`; a part that several have is looked at once."""

    def __init__(self, numerical_version: str) -> None:
        self._version = json.dumps(numerical_version)
        # With the part, so that its id stays its own.
        self._known: dict[tuple[str, int], tuple[object, str | None]] = {}

    def compute(self, config: Mapping[str, Any]) -> str:
        """The digest of a resolved configuration, whose parts stay as they are."""
        return sha256(f"[{{{','.join(self._texts(config))}}},{self._version}]".encode()).hexdigest()[:16]

    def split(self, config: Mapping[str, Any], key: str) -> "SplitDigest":
        """What computes the digests of configurations that differ from this one in a whole number at `key` alone."""
        before, after = (
            self._texts({name: value for name, value in config.items() if name != key and (name < key) == first})
            for first in (True, False)
        )
        begin, end = ",".join([*before, f"{json.dumps(key)}:"]), "".join(f",{text}" for text in after)
        return SplitDigest(sha256(f"[{{{begin}".encode()), f"{end}}},{self._version}]")

    def _texts(self, config: Mapping[str, Any]) -> Iterator[str]:
        """What counts of a configuration, key by key."""
        for key in sorted(config.keys() - _NOT_NUMERICAL):
            if (text := self._write(key, config[key])) is not None:
                yield f"{json.dumps(key)}:{text}"

    def _write(self, key: str, value: object) -> str | None:
        """A part as text, always the same for the same numbers; None: it says no more than its absence."""
        if not isinstance(value, Mapping):
            return _write_part(key, value)
        known = self._known.get((key, id(value)))
        if known is None:
            known = self._known[key, id(value)] = value, _write_part(key, value)
        return known[1]


def _write_part(key: str, value: object) -> str | None:
    if value == _absent().get(key):
        return None
    if key == "task":
        value = _drop_defaults(value)
    elif key == "train" and isinstance(value, Mapping):
        value = _drop_unsaid(value, _UNSAID)
        if isinstance(stop := value.get("early_stop"), Mapping):
            value["early_stop"] = _drop_unsaid(stop, _UNSAID_OF_STOP)
    kept = _canonicalize(value, key)
    return json.dumps(kept, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _drop_unsaid(node: Mapping[str, Any], unsaid: Mapping[str, Any]) -> dict[str, Any]:
    return {name: own for name, own in node.items() if name not in unsaid or own != unsaid[name]}


@cache
def _absent() -> dict[str, dict[str, str]]:
    from bptt.core.run import Run

    defaults = {field.name: type(field.default) for field in fields(Run) if field.default is not MISSING}
    return {name: {"_target_": f"{kind.__module__}.{kind.__qualname__}"} for name, kind in defaults.items()}


def _drop_defaults(node: Any) -> Any:
    """A task's node without what its class does not ask for, where it says that."""
    if not isinstance(node, Mapping):
        return node
    defaults = _find_defaults(str(node.get("_target_")))
    return {key: value for key, value in node.items() if key not in defaults or value != defaults[key]}


@cache
def _find_defaults(target: str) -> dict[str, Any]:
    """Field → default, of one of bptt's classes; of others, which may change, nothing."""
    module, _, name = update_target(target).rpartition(".")
    if not module.startswith("bptt.tasks."):
        return {}
    try:
        kind = getattr(import_module(module), name)
        return {
            field.metadata.get("key", field.name): [*own] if isinstance(own := field.default, tuple) else own
            for field in fields(kind)
            if field.default is not MISSING
        }
    except (ImportError, AttributeError, TypeError):  # as a record that was changed may name anything
        return {}


def names_file(key: str) -> bool:
    """Whether a key of a configuration names a file: `path`, `y_path`."""
    return key == "path" or key.endswith("_path")


def find_package(target: str) -> str | None:
    """The user's package that a class belongs to, by the class's name in full; None: it is one of bptt's."""
    package = target.partition(".")[0]
    return None if package == "bptt" else package


@cache
def compute_version() -> str:
    """The numerical version of the installed program.

    Changes with what the core and the tasks compute (`bptt.core.sources`) and with the contents of the tasks' data
    files; not with the processor, its vectors or the packages, with all of which the bits are the same.
    """
    from bptt.core.kernel import cache_folder, source_hash

    tasks = Path(str(files("bptt") / "tasks"))
    data = [path for path in tasks.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    parts = [
        source_hash(),
        hash_sources(read_modules(tasks, "bptt.tasks"), known=cache_folder() / "sources"),
        *sorted(sha256(path.read_bytes()).hexdigest() for path in data),
    ]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _hash_class(target: str) -> str:
    """Of a class of a notebook, which has no file: over what its own functions are compiled to, by this Python."""
    kind = getattr(sys.modules.get(_MAIN), target.rpartition(".")[2], None)
    codes = [code for value in vars(kind).values() if (code := _find_code(value)) is not None] if kind else []
    return sha256("\n".join(text for code in codes for text in _list_code(code)).encode()).hexdigest()[:16]


def _find_code(value: object) -> CodeType | None:
    function = getattr(value, "fget", None) or getattr(value, "func", None) or getattr(value, "__func__", value)
    found = getattr(function, "__code__", None)
    return found if isinstance(found, CodeType) else None


def _list_code(code: CodeType) -> Iterator[str]:
    yield f"{code.co_name} {code.co_code.hex()} {code.co_names} {code.co_varnames}"
    for constant in code.co_consts:
        yield from _list_code(constant) if isinstance(constant, CodeType) else [repr(constant)]


def _canonicalize(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _canonicalize(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonicalize(inner, key) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if names_file(key) and isinstance(value, str) and Path(value).is_file():
        return f"sha256:{sha256(Path(value).read_bytes()).hexdigest()}"
    if key == "_target_" and (package := find_package(value)) is not None:
        return f"{value} {package_hash(package) if package != _MAIN else _hash_class(value)}"
    return value
