"""What differs between two environments: the one that a run was made in, and this one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_NUMERICAL: Final = ("numpy", "numba", "llvmlite", "scipy")  # what the numerical version covers, see `digest`
#: What decides last bits although the program is the same.
MACHINE: Final = ("processor", "compiled for", "BLAS")
_NAMES: Final = {
    "cpu": "processor",
    "target": "compiled for",
    "simd": "vector width",
    "python": "Python",
    "platform": "system",
    "git_commit": "commit",
}


@dataclass(frozen=True)
class Change:
    """A thing, as it was when a run was made, and as it is now."""

    what: str
    then: str
    now: str


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """What is noted of `then` (see `bptt.tracking.environment`) and is otherwise now; what decides most comes first.

    The number of processor cores is left out: no bit depends on it.
    """
    return [Change(what, before, after) for what, before, after in _all(then, now) if before != after]


def _all(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if then.get("numerical_version") is not None:
        yield "numerical version", str(then["numerical_version"]), str(now["numerical_version"])
    for key in ("cpu", "target", "simd"):
        if then.get(key) is not None:
            yield _NAMES[key], str(then[key]), str(now[key])
    if then.get("blas") is not None:
        yield "BLAS", _library(then["blas"]), _library(now["blas"])
    before, after = then.get("packages") or {}, now["packages"]
    for name in sorted(before, key=lambda name: (name not in _NUMERICAL, name)):
        yield name, str(before[name]), str(after.get(name, "not installed"))
    for key in ("python", "platform", "git_commit"):
        if then.get(key) is not None:
            yield _NAMES[key], str(then[key]), str(now[key] or "unknown")
    if then.get("git_dirty") is not None:
        yield "uncommitted changes", _changes_to_commit(then), _changes_to_commit(now)


def _library(blas: Mapping[str, Any]) -> str:
    said = " ".join(str(blas[key]) for key in ("name", "version", "architecture") if blas.get(key) is not None)
    return f"{said}, {blas['threads']} thread(s)" if blas.get("threads") not in (1, None) else said


def _changes_to_commit(environment: Mapping[str, Any]) -> str:
    if not environment.get("git_dirty"):
        return "unknown" if environment.get("git_dirty") is None else "none"
    name = environment.get("git_diff")
    return f"some ({name})" if name else "some"
