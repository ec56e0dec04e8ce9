"""bptt, the packages that it stands on, the commit that runs are noted with, and variables of the environment.

What variables keep secret is not shown.
"""

import platform
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
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
    from bptt.tracking.provenance.environment import read_own_tags
    from bptt.tracking.store.tags import COMMIT_TAG, DIRTY_TAG

    tags = read_own_tags()
    if COMMIT_TAG in tags:
        changed = ", with changes that are noted too" if tags[DIRTY_TAG] == "true" else ""
        return Finding(subject="git", says=f"runs are noted with commit {tags[COMMIT_TAG][:12]}{changed}")
    why = "bptt is not installed from a git work tree" if shutil.which("git") else "there is no git"
    return Finding(subject="git", says=f"runs are noted without a commit: {why}")


_OURS: Final = re.compile(
    r"(BPTT|MLFLOW|NUMBA|HYDRA)_\w+|(OPENBLAS|OMP|MKL|BLIS)_NUM_THREADS|LOKY_MAX_CPU_COUNT|TMPDIR"
)
_SECRET: Final = re.compile(r"PASSWORD|TOKEN|SECRET|KEY|CREDENTIAL|HEADER|AUTH|COOKIE", re.IGNORECASE)
_WIDTHS: Final = ("2", "4", "8")


def examine_variables(situation: Situation) -> Iterator[Finding]:
    """Each variable that matters and is set."""
    found = {name: value for name, value in sorted(situation.variables.items()) if _OURS.fullmatch(name)}
    for name, value in found.items():
        yield _find_trouble(name, value) or Finding(subject=name, says=_hide_secrets(name, value))
    if not found:
        yield Finding(subject="variables", says="none is set that changes what bptt does")


def _hide_secrets(name: str, value: str) -> str:
    from bptt.tracking.store.address import hide_passwords

    return "is set, and not shown" if _SECRET.search(name) else hide_passwords(value)


def _find_trouble(name: str, value: str) -> Finding | None:
    if name == "NUMBA_DISABLE_JIT" and value not in ("", "0"):
        return _suggest_unset(name, value, "wrong", "nothing is compiled, and no kernel can be called")
    if name == "BPTT_SIMD_WIDTH" and value not in ("", *_WIDTHS):
        return _suggest_unset(
            name, value, "wrong", f"must be one of {', '.join(_WIDTHS)}: every command ends with that"
        )
    if name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES") and value:
        means = "kernels are compiled for another processor than this one: they may be slow, or end the process"
        return _suggest_unset(name, value, "note", means)
    if name == "NUMBA_CACHE_DIR" and value:
        return Finding(
            mark="note",
            subject=name,
            says=value,
            means="bptt keeps its kernels elsewhere: BPTT_CACHE_DIR names their folder",
            command=f"export BPTT_CACHE_DIR={write_command(value)}",
        )
    return None


def _suggest_unset(name: str, value: str, mark: str, means: str) -> Finding:
    return Finding(
        mark="wrong" if mark == "wrong" else "note", subject=name, says=value, means=means, command=f"unset {name}"
    )


def name_origin(variables: Mapping[str, str], uri: str | None) -> str:
    """What named the store: `--uri`, the variable, or nothing."""
    if uri is not None:
        return "--uri"
    return "MLFLOW_TRACKING_URI" if variables.get("MLFLOW_TRACKING_URI") else ""
