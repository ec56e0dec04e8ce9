"""The compiled kernels: where they are kept, whose they may be, and which are there."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bptt.configuration.errors import ConfigurationError
from bptt.configuration.owners import VARIABLE, Gap, check_kernel_folder, find_gap
from bptt.doctor.finding import Finding, Situation, write_command, write_size
from bptt.doctor.machine import examine_folder

_VERSION: Final = re.compile(r"[0-9a-f]{16}")


def examine(_situation: Situation) -> Iterator[Finding]:
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
    means = "the others are compiled when they are first needed, which takes up to a minute"
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
