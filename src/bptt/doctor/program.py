"""bptt, the packages that it stands on, and the commit that runs are noted with."""

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from packaging.requirements import Requirement

import bptt
from bptt.doctor.finding import Finding, Situation, write_command

_COMPUTE: Final = ("numpy", "numba", "llvmlite", "scipy")
_COMPOSE: Final = ("hydra-core", "omegaconf", "mlflow")


def examine(_situation: Situation) -> Iterator[Finding]:
    """The versions of bptt and of what it needs, the extras, and what git knows."""
    from bptt.tracking.provenance.digest import compute_version

    yield Finding(subject="python", says=f"{platform.python_version()} on {platform.platform()}")
    required = [Requirement(text) for text in requires("bptt") or []]
    needed = [one for one in required if one.marker is None]
    yield from (finding for one in needed if (finding := _examine_needed(one)) is not None)
    yield _list_versions("computes with", _COMPUTE)
    yield _list_versions("composes, records", _COMPOSE)
    yield _list_versions("draws, writes", [one.name for one in needed if one.name not in _COMPUTE + _COMPOSE])
    yield _examine_extras([one for one in required if one.marker is not None])
    yield Finding(subject="bptt", says=f"{bptt.__version__}, numerical version {compute_version()}")
    yield _examine_git()


def _examine_needed(needed: Requirement) -> Finding | None:
    found = _find_version(needed.name)
    if found is not None and needed.specifier.contains(found, prereleases=True):
        return None
    return Finding(
        mark="wrong",
        subject=needed.name,
        says=f"{found or 'not installed'}; bptt needs {needed.specifier}",
        means="bptt was not tried with it, and may fail or compute other bits",
        command=write_command(sys.executable, "-m", "pip", "install", str(needed)),
    )


def _list_versions(subject: str, names: "tuple[str, ...] | list[str]") -> Finding:
    return Finding(
        subject=subject, says=", ".join(f"{name} {_find_version(name) or 'not installed'}" for name in names)
    )


def _examine_extras(required: list[Requirement]) -> Finding:
    extras: dict[str, list[Requirement]] = {}
    for one in required:
        assert one.marker is not None
        name = str(one.marker).partition("extra ==")[2].strip(' "()')
        extras.setdefault(name, []).append(one)
    there = [name for name, needed in extras.items() if all(_find_version(one.name) for one in needed)]
    missing = [name for name in extras if name not in there]
    versions = [f"{name} ({extras[name][0].name} {_find_version(extras[name][0].name)})" for name in there]
    says = [", ".join(versions)] if versions else []
    if missing:
        says.append(f"without {', '.join(missing)}: pip install 'bptt[{','.join(missing)}]'")
    return Finding(subject="extras", says="; ".join(says))


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _examine_git() -> Finding:
    from bptt.tracking.provenance.work_tree import read_own_tags
    from bptt.tracking.store.tags import COMMIT_TAG, DIRTY_TAG

    tags = read_own_tags()
    if COMMIT_TAG in tags:
        changed = ", with changes that are noted too" if tags[DIRTY_TAG] == "true" else ""
        return Finding(subject="git", says=f"runs are noted with commit {tags[COMMIT_TAG][:12]}{changed}")
    why = "bptt is not installed from a git work tree" if shutil.which("git") else "there is no git"
    return Finding(subject="git", says=f"runs are noted without a commit: {why}")
