"""What computes: the processor, BLAS, a sweep's workers, compiled kernels; and folders that have to be written."""

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage
from typing import Final

from bptt.configuration.errors import ConfigurationError
from bptt.configuration.owners import VARIABLE, Gap, check_kernel_folder, find_gap
from bptt.doctor.finding import Finding, Situation, write_command, write_size

_CGROUP = Path("/sys/fs/cgroup")


_WIDEST = {"avx512f": 8, "avx": 4, "neon": 2, "sse2": 2}


def examine(_situation: Situation) -> Iterator[Finding]:
    """The processor, the vectors that the kernels use, BLAS, the cores and the workers."""
    from llvmlite.binding import get_host_cpu_features
    from numba import config

    from bptt.tracking.provenance.environment import describe_environment

    found = describe_environment()
    features = get_host_cpu_features()
    known = [name for name in ("avx512f", "avx2", "fma", "neon", "sve") if features.get(name)]
    told = f"kernels are compiled for {config.CPU_NAME or found['target']} ({', '.join(known) or 'no vectors'})"
    yield Finding(subject="processor", says=f"{found['cpu']}; {told}")
    yield _examine_vectors(found["simd"], max([1, *(width for name, width in _WIDEST.items() if features.get(name))]))
    yield _examine_blas(found["blas"])
    yield from _examine_workers()


def _examine_vectors(used: int, widest: int) -> Finding:
    says = f"the kernels compute {used} float64 at a time, the processor {widest} in a register"
    if used >= widest:
        return Finding(subject="vectors", says=says)
    return Finding(
        mark="note",
        subject="vectors",
        says=f"{says}: BPTT_SIMD_WIDTH asks for {used}",
        means="training takes longer than it could; the bits are the same",
        command="unset BPTT_SIMD_WIDTH",
    )


def _examine_blas(found: dict[str, object]) -> Finding:
    from threadpoolctl import threadpool_info

    threads = max([1, *(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")])
    beside = f" ({threads} otherwise)" if threads > 1 else ""
    named = " ".join(str(found[key]) for key in ("name", "version", "architecture") if found[key])
    return Finding(subject="BLAS", says=f"{named}; 1 thread in training{beside}")


def _examine_workers() -> Iterator[Finding]:
    from bptt.sweeps.workers.pool import WorkerSettings

    cores, workers = os.cpu_count() or 1, WorkerSettings().wanted
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    limit = _read_cgroup_limit()
    parts = [f"{cores} cores"]
    if own < cores:
        parts.append(f"{own} of them for this process (its affinity)")
    if limit is not None:
        parts.append(f"{limit:g} allowed by its cgroup")
    yield Finding(subject="workers", says=f"a sweep takes {workers}: {', '.join(parts)}")


def _read_cgroup_limit(root: Path = _CGROUP) -> float | None:
    """How many cores' time this process may use; None: nothing limits it, or it can't be told."""
    try:
        if (root / "cpu.max").is_file():
            quota, period = (root / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):
        return None


_LITTLE: Final = 5e9  # bytes
_TOO_LITTLE: Final = 5e8


def examine_folders(situation: Situation) -> Iterator[Finding]:
    """The current folder, those of runs and artifacts, and that of temporary files; then the disks that they are on."""
    from bptt.tracking.folder.files import MULTIRUN
    from bptt.tracking.store.address import ARTIFACTS

    runs, artifacts = situation.folder / MULTIRUN, situation.folder / ARTIFACTS
    yield examine_folder("current folder", situation.folder)
    yield from (examine_folder(f"{folder.name}/", folder) for folder in (runs, artifacts) if folder.exists())
    temporary = situation.variables.get("TMPDIR")
    yield _examine_temporary(Path(temporary) if temporary else Path(tempfile.gettempdir()), bool(temporary))
    yield _examine_room(situation.folder)


def examine_folder(subject: str, folder: Path, otherwise: str = "") -> Finding:
    """Whether a file can be made in a folder, or in the one above it where it is not there yet; none is left there.

    otherwise: the command that does without the folder, where neither its owner nor its disk is the user's
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Finding(
            mark="wrong",
            subject=subject,
            says=f"{folder}: can't be written: {error.strerror or error}",
            means="what a run leaves there can't be kept",
            command=otherwise or _suggest_remedy(there, error),
        )
    return Finding(subject=subject, says=f"{folder}: can be written{'' if there == folder else ', once it is there'}")


def _suggest_remedy(path: Path, error: OSError) -> str:
    if error.errno == errno.EROFS:
        mount = next(place for place in (path.absolute(), *path.absolute().parents) if place.is_mount())
        return write_command("sudo", "mount", "-o", "remount,rw", mount)
    if error.errno == errno.ENOTDIR:
        return write_command("mv", path, f"{path}.old")
    if error.errno not in (errno.EACCES, errno.EPERM):
        return ""
    if hasattr(os, "geteuid") and path.stat().st_uid == os.geteuid():
        return write_command("chmod", "u+rwx", path)
    return f'sudo chown "$(id -un)" {write_command(path)}'


def _examine_temporary(folder: Path, chosen: bool) -> Finding:
    if folder.is_dir() or not chosen:
        return examine_folder("temporary files", folder, "unset TMPDIR" if chosen else "")
    return Finding(
        mark="wrong",
        subject="temporary files",
        says=f"TMPDIR={folder}: there is no such folder",
        means="programs take another folder, or fail",
        command=write_command("mkdir", "-p", folder),
    )


def _examine_room(folder: Path) -> Finding:
    free = disk_usage(folder).free
    says = f"{write_size(free)} free where {folder} is"
    if free > _LITTLE:
        return Finding(subject="disk", says=says)
    return Finding(
        mark="wrong" if free < _TOO_LITTLE else "note",
        subject="disk",
        says=says,
        means="a sweep of 10,000 runs takes about a gigabyte, and one that finds no room stops; this says what takes"
        " it, and `bptt rm SWEEP` deletes a sweep",
        command="du -sh multirun/* mlruns/* | sort -h",
    )


_VERSION: Final = re.compile(r"[0-9a-f]{16}")


def examine_kernels(_situation: Situation) -> Iterator[Finding]:
    """The cache's folder, today's kernels in it, and those of other versions."""
    from bptt.core.compiler import lacking
    from bptt.core.kernel import cache_folder, kernel_folder

    for says in lacking:
        yield Finding(mark="note", subject="compiler", says=says, means="the bits are the same")
    folder = cache_folder()
    chosen = "export BPTT_CACHE_DIR=~/bptt-kernels"
    yield examine_folder("folder", folder, "" if folder.exists() else chosen)
    try:
        gap = find_gap(folder)
        if gap is None and folder.exists():
            check_kernel_folder()
    except ConfigurationError as error:
        name = str(error).partition("=")[0]
        yield Finding(mark="wrong", subject="whose they are", says=str(error), means=_NONE, command=f"unset {name}")
        return  # what is there is not read
    if gap is not None:
        yield _report_gap(gap, folder, chosen)
        return
    trusted = os.environ.get(VARIABLE)
    if trusted:
        means = "their kernels run with your rights: that is as safe as they are"
        yield Finding(mark="note", subject="whose they are", says=f"{VARIABLE}={trusted} trusts others", means=means)
    yield _examine_there(folder)
    yield from _examine_others(folder, kernel_folder())


_NONE: Final = "a kernel is code that runs with your rights, and none is loaded"


def _report_gap(gap: Gap, folder: Path, chosen: str) -> Finding:
    inside = gap.path == folder.resolve() or folder.resolve() in gap.path.parents
    means = f"{_NONE} that others could have put there. If they did, name another folder in BPTT_CACHE_DIR"
    if gap.owner is not None:
        means += f"; if that is meant, trust them with {VARIABLE}={gap.owner}"
    command = write_command("chmod", "-R", "go-w", folder) if gap.is_mode and inside else chosen
    return Finding(mark="wrong", subject="whose they are", says=gap.says, means=means, command=command)


def _examine_there(folder: Path) -> Finding:
    from bptt.sweeps.workers.kernels import list_shipped_kernels

    recipes = list_shipped_kernels()
    # One that is not there is not looked into: another user could make it meanwhile.
    ready = sum(recipe.is_ready for recipe in recipes) if folder.exists() else 0
    says = f"{ready} of {len(recipes)} that ship with bptt are compiled, {write_size(_count_bytes(folder))} in all"
    if ready == len(recipes):
        return Finding(subject="compiled", says=says)
    means = "the others are compiled when they are first needed, which takes about half a minute or longer"
    return Finding(mark="note", subject="compiled", says=says, means=means, command="bptt warm")


def _examine_others(folder: Path, todays: Path) -> Iterator[Finding]:
    """Folders of other versions of bptt, of its packages, or of another width; nothing deletes them."""
    old = [path for path in sorted(folder.glob("*")) if path != todays and _VERSION.fullmatch(path.name)]
    if old:
        size = write_size(sum(map(_count_bytes, old)))
        yield Finding(
            mark="note",
            subject="other versions",
            says=f"kernels of {len(old)} other version{'s'[: len(old) != 1]}, {size}",
            means="this version doesn't use them; where no other one is installed, they can go",
            command=write_command("rm", "-r", *old),
        )


def _count_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
