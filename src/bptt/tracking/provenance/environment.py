"""What a run was made with: in files of its folder, as tags in the store, and what has changed since."""

import getpass
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.files import PATCH, PROVENANCE, dump_sealed, load_sealed, write_text
from bptt.tracking.provenance.blas import use_one_blas_thread
from bptt.tracking.provenance.digest import compute_version
from bptt.tracking.store.address import hide_passwords
from bptt.tracking.store.tags import COMMAND_TAG, COMMIT_TAG, DIRTY_TAG, SOURCE_TYPE_TAG, USER_TAG, VERSION_TAG

_NUMERICAL: Final = ("numpy", "numba", "llvmlite", "scipy")  # what computes or compiles


#: What the same program computes with; the bits are the same with any.
MACHINE: Final = ("processor", "compiled for", "vector width", *_NUMERICAL)


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


def list_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """What is noted of `then` (see `bptt.tracking.provenance.environment`) and is otherwise now; what decides most
    comes first.

    The number of processor cores is left out: no bit depends on it.
    """
    return [Change(what, before, after) for what, before, after in _compare_all(then, now) if before != after]


def _compare_all(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if then.get("numerical_version") is not None:
        yield "numerical version", str(then["numerical_version"]), str(now["numerical_version"])
    for key in ("cpu", "target", "simd"):
        if then.get(key) is not None:
            yield _NAMES[key], str(then[key]), str(now[key])
    if then.get("blas") is not None:
        yield "BLAS", _name_library(then["blas"]), _name_library(now["blas"])
    before, after = then.get("packages") or {}, now["packages"]
    for name in sorted(before, key=lambda name: (name not in _NUMERICAL, name)):
        yield name, str(before[name]), str(after.get(name, "not installed"))
    for key in ("python", "platform", "git_commit"):
        if then.get(key) is not None:
            yield _NAMES[key], str(then[key]), str(now[key] or "unknown")
    if then.get("git_dirty") is not None:
        yield "uncommitted changes", _describe_commit(then), _describe_commit(now)


def _name_library(blas: Mapping[str, Any]) -> str:
    said = " ".join(str(blas[key]) for key in ("name", "version", "architecture") if blas.get(key) is not None)
    return f"{said}, {blas['threads']} thread(s)" if blas.get("threads") not in (1, None) else said


def _describe_commit(environment: Mapping[str, Any]) -> str:
    if not environment.get("git_dirty"):
        return "unknown" if environment.get("git_dirty") is None else "none"
    name = environment.get("git_diff")
    return f"some ({name})" if name else "some"


_PACKAGES: Final = ("bptt", "numpy", "numba", "scipy", "hydra-core", "mlflow")


def make_provenance_tags() -> dict[str, str]:
    """mlflow.source.git.commit and bptt.git.dirty, bptt.version.*, and MLflow's own tags for user and command."""
    return {
        USER_TAG: _find_user(),
        SOURCE_TYPE_TAG: "LOCAL",
        COMMAND_TAG: hide_passwords(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))[:5000],
        f"{VERSION_TAG}python": platform.python_version(),
        **{f"{VERSION_TAG}{name}": found for name in _PACKAGES if (found := find_version(name))},
        **read_own_tags(),
    }


def recall_provenance_tags(folder: Path, command: Sequence[str]) -> dict[str, str]:
    """The same tags for what was trained earlier, as far as its folder says; command: that began it, as words."""
    now, noted = make_provenance_tags(), read_provenance(folder)
    if not isinstance(noted.get("packages"), dict):
        return now
    then = {
        f"{VERSION_TAG}python": noted.get("python"),
        **{f"{VERSION_TAG}{name}": noted["packages"].get(name) for name in _PACKAGES},
        COMMIT_TAG: noted.get("git_commit"),
        DIRTY_TAG: None if noted.get("git_dirty") is None else str(noted["git_dirty"]).lower(),
        COMMAND_TAG: shlex.join(command)[:5000] or None,
    }
    kept = {name: now[name] for name in (USER_TAG, SOURCE_TYPE_TAG)}
    return kept | {name: str(value) for name, value in then.items() if value is not None}


def find_version(package: str) -> str | None:
    """The version of an installed package; None: it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _find_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


_COMPILES: Final = "llvmlite"  # Numba's


def describe_environment() -> dict[str, Any]:
    """What this process computes with. Nothing of it names a user, a folder or an environment variable.

    python             its version, and platform: the operating system
    cpu                the processor's name; target: the processor that LLVM compiles the kernels for; cores: how many
    simd               how many float64 numbers stand in a vector of the kernels
    blas               of NumPy: name, version, architecture, and the number of threads that training allows it
    packages           package → version, of bptt and all that it depends on
    git_commit         of the program; None: unknown. git_dirty: whether its work tree differs from that, git_diff: the
                       name of the difference (of dirty.patch, by its content)
    numerical_version  see `bptt.tracking.provenance.digest`
    """
    from llvmlite.binding import get_host_cpu_name

    from bptt.core.simd import WIDTH

    tags = read_own_tags()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _name_processor(),
        "target": get_host_cpu_name(),
        "simd": WIDTH,
        "cores": os.cpu_count(),
        "blas": _describe_blas(),
        "packages": {name: found for name in _list_packages() if (found := find_version(name)) is not None},
        "git_commit": tags.get(COMMIT_TAG),
        "git_dirty": tags[DIRTY_TAG] == "true" if DIRTY_TAG in tags else None,
        "git_diff": shorten_diff(read_own_diff()),
        "numerical_version": compute_version(),
    }


def write_provenance(folder: Path) -> None:
    """Write provenance.json, and dirty.patch where the program's work tree differs from its commit."""
    difference = read_own_diff()
    if difference is not None:
        write_text(folder / PATCH, difference)
    write_text(folder / PROVENANCE, dump_sealed(describe_environment()))


def note_resumption(folder: Path) -> None:
    """Note where what was begun in a folder goes on in another environment: in provenance.json, under `resumed`."""
    noted, now = read_provenance(folder), describe_environment()
    if not noted:
        return
    resumed = noted.get("resumed", [])
    if all(list_changes(before, now) for before in (noted, *resumed)):
        write_text(folder / PROVENANCE, dump_sealed({**noted, "resumed": [*resumed, now]}))


def pack_provenance(folder: Path) -> dict[str, bytes]:
    """The files that `write_provenance` left in a folder: name → content."""
    return {name: (folder / name).read_bytes() for name in (PROVENANCE, PATCH) if (folder / name).is_file()}


def read_provenance(folder: Path) -> dict[str, Any]:
    """What `write_provenance` noted in a folder; empty where there is no such file.

    Raises ArchiveError where it is damaged.
    """
    path = folder / PROVENANCE
    try:
        return load_sealed(path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except ValueError as error:
        raise ArchiveError(f"{path}: can't be read: {error}; delete it to do without") from error


def parse_provenance_tags(tags: dict[str, str]) -> dict[str, Any]:
    """What the tags of a run in the store say of its environment, under the same keys; the rest is missing."""
    packages = {name.removeprefix(VERSION_TAG): found for name, found in tags.items() if name.startswith(VERSION_TAG)}
    python = packages.pop("python", None)
    found = {
        "python": python,
        "packages": packages or None,
        "git_commit": tags.get(COMMIT_TAG),
        "git_dirty": tags[DIRTY_TAG] == "true" if DIRTY_TAG in tags else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _list_packages() -> list[str]:
    try:
        required = requires("bptt") or []
    except PackageNotFoundError:
        required = []
    names = [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in required if "extra ==" not in text]
    return ["bptt", *names, _COMPILES]


def _describe_blas() -> dict[str, Any]:
    import numpy as np
    from threadpoolctl import threadpool_info

    # The number of threads decides the last bits of large matrices' eigenvalues; training allows one.
    with use_one_blas_thread():
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


def _name_processor() -> str:
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


_SECONDS: Final = 10


# Whatever the user's own settings are, the difference is one that `git apply` takes.
_PLAIN: Final = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")


def read_git_tags(folder: Path) -> dict[str, str]:
    """The commit, and whether a tracked file differs from it, or a source or a choice in conf/ was added.

    Empty where there is no git, no commit, no work tree or one that does not know the folder's files (an environment
    inside another project's), and where git does not answer in time.
    """
    try:
        lines = _ask_git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no").splitlines()
        commit = next(line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid "))
        if commit == "(initial)" or not _ask_git(folder, "ls-files"):
            return {}
        dirty = any(not line.startswith("#") for line in lines) or bool(_list_added(folder))
    except (OSError, subprocess.SubprocessError, StopIteration):
        return {}
    return {COMMIT_TAG: commit, DIRTY_TAG: str(dirty).lower()}


def read_git_diff(folder: Path) -> str | None:
    """What makes of the commit the work tree that the folder lies in, for `git apply`; None: nothing differs.

    It covers what makes a work tree dirty, see `read_git_tags`. A password within an address is blotted out.
    """
    try:
        top = Path(_ask_git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
        parts = [_ask_git(top, "diff", "HEAD", *_PLAIN)]
        parts += [
            _ask_git(top, "diff", "--no-index", *_PLAIN, "--", "/dev/null", name, codes=(1,))
            for name in _list_added(folder)
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return "".join(hide_passwords(line) for part in parts for line in part.splitlines(keepends=True)) or None


@cache
def read_own_tags() -> dict[str, str]:
    """`read_git_tags` of the program, as they were when this was first asked."""
    return read_git_tags(_find_own_folder())


@cache
def read_own_diff() -> str | None:
    """`read_git_diff` of the program, as it was when first asked; None: nothing differs, or there is no commit."""
    return read_git_diff(_find_own_folder()) if read_own_tags().get(DIRTY_TAG) == "true" else None


def shorten_diff(difference: str | None) -> str | None:
    """Sixteen hexadecimal characters by which a difference is known."""
    return None if difference is None else sha256(difference.encode()).hexdigest()[:16]


def _find_own_folder() -> Path:
    return Path(str(files("bptt")))


def _list_added(folder: Path) -> list[str]:
    """What git neither knows nor ignores of the folder's sources and of the choices in the work tree's conf/."""
    wanted = ("*.py", ":(top)conf/*.yaml")
    found = _ask_git(folder, "ls-files", "--others", "--exclude-standard", "--full-name", "-z", "--", *wanted)
    return sorted(filter(None, found.split("\0")))


def _ask_git(folder: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    """What git answers, where it ends with one of these exit codes."""
    command = ["git", "-C", str(folder), "--no-optional-locks", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS)
    if done.returncode not in codes:
        raise subprocess.CalledProcessError(done.returncode, command)
    return done.stdout.decode(errors="replace")
