"""A folder of kernels in which some are lacking: what compiling does is seen in a few that take a moment."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from bptt.core.kernel import cache_folder, kernel_folder
from bptt.core.run import Run
from bptt.sweeps.workers.kernels import compile_kernel, of_sweep


def copy_kernels(folder: Path, runs: Sequence[Run], without: Collection[str]) -> None:
    """Make `folder` hold what these runs call, but for the functions that are named, and nothing made for a shape."""
    for recipe in of_sweep(runs):
        if not all(map(recipe.kernel.is_kept, recipe.modes)):
            compile_kernel(recipe.kernel, recipe.modes)
    here = kernel_folder()
    there = folder / here.relative_to(cache_folder())
    there.mkdir(parents=True)
    for file in here.glob("*.nb[ci]"):
        _, _, name = file.name.partition("-")[0].partition(".")
        if name not in without and not name.endswith("_in_shape") and "-bptt.core." in file.name:
            shutil.copy2(file, there)
