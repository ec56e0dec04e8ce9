"""The compiled kernels: where they are kept, whose they may be, and which are there."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bptt.doctor.finding import Finding, Situation, write_command, write_size
from bptt.doctor.folders import examine_folder

_VERSION: Final = re.compile(r"[0-9a-f]{16}")


def examine(_situation: Situation) -> Iterator[Finding]:
    """The cache's folder, today's kernels in it, and those of other versions."""
    from bptt.core.compiler import lacking
    from bptt.core.kernel import cache_folder, kernel_folder
    from bptt.sweeps.workers.kernels import open_to_everybody

    for says in lacking:
        yield Finding(mark="note", subject="compiler", says=says, means="the bits are the same")
    folder = cache_folder()
    chosen = "export BPTT_CACHE_DIR=~/bptt-kernels"
    yield examine_folder("folder", folder, "" if folder.exists() else chosen)
    found = open_to_everybody(folder)
    if found is not None:
        yield Finding(
            mark="wrong",
            subject="whose they are",
            says=found.says,
            means="a kernel is code that runs with your rights, and anybody could have put one there: none is loaded."
            " If others may have, name a folder of your own in BPTT_CACHE_DIR instead",
            command=write_command("chmod", "-R", "go-w", folder) if _is_mine(found.path, folder) else chosen,
        )
        return  # what is there is not read
    if folder.is_dir() and not _is_mine(folder, folder):
        means = "its kernels are code that runs with your rights; that is as safe as whoever made the folder"
        yield Finding(mark="note", subject="whose they are", says=f"{folder} belongs to another user", means=means)
    yield _examine_there(folder)
    yield from _examine_others(folder, kernel_folder())


def _is_mine(path: Path, folder: Path) -> bool:
    """Whether it is the folder, or in it, and the user's or root's."""
    own = not hasattr(os, "geteuid") or path.stat().st_uid in (os.geteuid(), 0)
    return own and (path == folder or folder in path.parents)


def _examine_there(folder: Path) -> Finding:
    from bptt.sweeps.workers.kernels import list_shipped_kernels

    recipes = list_shipped_kernels()
    ready = sum(recipe.is_ready for recipe in recipes)
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
