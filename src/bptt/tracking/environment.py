"""provenance.json and dirty.patch: what a run or a sweep was made with, noted in its folder when it begins."""

import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any, Final

from bptt.tracking.changes import changes
from bptt.tracking.digest import current_version
from bptt.tracking.files import write_text
from bptt.tracking.provenance import VERSION, installed
from bptt.tracking.work_tree import COMMIT, DIRTY, dirty_diff, own_git_tags, short_name

PROVENANCE: Final = "provenance.json"
PATCH: Final = "dirty.patch"
_COMPILES: Final = "llvmlite"  # Numba's, whose version decides what is computed


def environment() -> dict[str, Any]:
    """What this process computes with. Nothing of it names a user, a folder or an environment variable.

    python             its version, and platform: the operating system
    cpu                the processor's name; target: the processor that LLVM compiles the kernels for; cores: how many
    simd               how many float64 numbers stand in a vector of the kernels
    blas               of NumPy: name, version, architecture, and the number of threads that training allows it
    packages           package → version, of bptt and all that it depends on
    git_commit         of the program; None: unknown. git_dirty: whether its work tree differs from that, git_diff: the
                       name of the difference (of dirty.patch, by its content)
    numerical_version  see `bptt.tracking.digest`
    """
    from llvmlite.binding import get_host_cpu_name

    from bptt.core.simd import WIDTH

    tags = own_git_tags()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _processor(),
        "target": get_host_cpu_name(),
        "simd": WIDTH,
        "cores": os.cpu_count(),
        "blas": _blas(),
        "packages": {name: found for name in _packages() if (found := installed(name)) is not None},
        "git_commit": tags.get(COMMIT),
        "git_dirty": tags[DIRTY] == "true" if DIRTY in tags else None,
        "git_diff": short_name(dirty_diff()),
        "numerical_version": current_version(),
    }


def write_provenance(folder: Path) -> None:
    """Write provenance.json, and dirty.patch where the program's work tree differs from its commit."""
    difference = dirty_diff()
    if difference is not None:
        write_text(folder / PATCH, difference)
    write_text(folder / PROVENANCE, json.dumps(environment(), indent=1) + "\n")


def note_resumption(folder: Path) -> None:
    """Note where what was begun in a folder goes on in another environment: in provenance.json, under `resumed`."""
    noted, now = read_provenance(folder), environment()
    if not noted:
        return
    resumed = noted.get("resumed", [])
    if all(changes(before, now) for before in (noted, *resumed)):
        write_text(folder / PROVENANCE, json.dumps({**noted, "resumed": [*resumed, now]}, indent=1) + "\n")


def provenance_files(folder: Path) -> dict[str, bytes]:
    """The files that `write_provenance` left in a folder: name → content."""
    return {name: (folder / name).read_bytes() for name in (PROVENANCE, PATCH) if (folder / name).is_file()}


def read_provenance(folder: Path) -> dict[str, Any]:
    """What `write_provenance` noted in a folder; empty where there is nothing that can be read."""
    try:
        found = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def provenance_of_tags(tags: dict[str, str]) -> dict[str, Any]:
    """What the tags of a run in the store say of its environment, under the same keys; the rest is missing."""
    packages = {name.removeprefix(VERSION): found for name, found in tags.items() if name.startswith(VERSION)}
    python = packages.pop("python", None)
    found = {
        "python": python,
        "packages": packages or None,
        "git_commit": tags.get(COMMIT),
        "git_dirty": tags[DIRTY] == "true" if DIRTY in tags else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _packages() -> list[str]:
    try:
        required = requires("bptt") or []
    except PackageNotFoundError:
        required = []
    names = [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in required if "extra ==" not in text]
    return ["bptt", *names, _COMPILES]


def _blas() -> dict[str, Any]:
    import numpy as np
    from threadpoolctl import threadpool_info, threadpool_limits

    # The number of threads decides the last bits of large matrices' eigenvalues; training allows one.
    with threadpool_limits(1, user_api="blas"):
        found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    # SciPy may bring another one, that training does not use.
    own = [library for library in found if f"{os.sep}numpy" in library["filepath"]] or found
    if not own:
        built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # a library that threadpoolctl can't ask
        return {"name": built.get("name"), "version": built.get("version"), "architecture": None, "threads": None}
    library = own[0]
    return {
        "name": library["internal_api"],
        "version": library["version"],
        "architecture": library.get("architecture"),
        "threads": library["num_threads"],
    }


def _processor() -> str:
    """The name by which the operating system knows the processor."""
    try:
        if sys.platform == "darwin":
            asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        if found := re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE):
            return found[1].strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor() or platform.machine()
