"""`bptt warm [overrides]`: compiles kernels ahead of time, for an image or a cluster's shared folder."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bptt.cli import hydra_app
from bptt.cli.common import Parser
from bptt.cli.progress import count_units, show_counting
from bptt.configuration.errors import ConfigurationError
from bptt.printable import make_printable

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

    from bptt.sweeps.search.search import Search
    from bptt.sweeps.workers.kernels import Recipe


def main(argv: Sequence[str]) -> int:
    """Compile what is missing. 0: all is there, 1: a kernel can't be compiled, 2: a wrong request."""
    from bptt.core.annotations import InvalidValue

    parser = Parser(
        prog="bptt warm",
        usage="bptt warm [--workers N] [OVERRIDE …]",
        description="Compiles the kernels that are not there yet, so that nothing is compiled when a run is trained."
        " They are kept in the folder $BPTT_CACHE_DIR, else in the user's cache folder, and serve machines with the"
        " same version of bptt and the same kind of processor.",
        epilog="OVERRIDE is what `bptt train` takes, a sweep's included, and so are -m, --config-dir and the like: only"
        " what that run or sweep needs is compiled. Without any, all that ships with bptt is.",
    )
    parser.add_argument("--workers", metavar="N", type=_read_count, help="how many compile at a time (one per core)")
    args, overrides = parser.parse_known_args(argv)
    asked = _Request()
    if overrides:
        code = hydra_app.run(overrides, asked, "bptt warm")
        if code or asked.recipes is None:
            return code
    try:
        return _warm(asked.recipes, args.workers)
    except (ConfigurationError, InvalidValue) as error:  # the latter of an environment variable
        print(error, file=sys.stderr)
        return 2


def _read_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number from 1 on")
    return int(text)


class _Request(hydra_app.WholeTask):
    """What Hydra is given to call in place of training. recipes: of what was asked for; None: nothing was yet."""

    recipes: "list[Recipe] | None" = None

    def sweep(self, config: "DictConfig", loader: "ConfigLoader", jobs: Sequence[Sequence[str]]) -> "list[JobReturn]":
        from bptt.configuration.compose import Composer
        from bptt.sweeps.jobs.composition import Composition
        from bptt.sweeps.jobs.plan import drop_repeated
        from bptt.sweeps.workers.kernels import of_sweep
        from bptt.tracking.provenance.digest import compute_version

        configurations = Composition(Composer(loader, config.hydra.job.config_name), config).all(jobs)
        runs, _ = drop_repeated(list(zip(jobs, configurations, strict=True)), compute_version())
        self.recipes = of_sweep(planned.run for planned in runs)
        return []

    def search(self, config: "DictConfig", loader: "ConfigLoader", search: "Search") -> None:
        from bptt.configuration.compose import Composer
        from bptt.sweeps.jobs.composition import Composition
        from bptt.sweeps.workers.kernels import of_search

        composition = Composition(Composer(loader, config.hydra.job.config_name), config)
        self.recipes = of_search(made.run for made in composition.all(search.space.samples()))


def _warm(asked: "list[Recipe] | None", workers: int | None) -> int:
    from bptt.configuration.owners import check_kernel_folder
    from bptt.core.kernel import cache_folder
    from bptt.sweeps.workers.kernels import check_folder, list_shipped_kernels

    check_kernel_folder()
    recipes = list_shipped_kernels() if asked is None else asked
    missing = [recipe for recipe in recipes if not recipe.is_ready]
    if not missing:
        print(f"{count_units(len(recipes), 'kernel')} ready in {cache_folder()}: all were there")
        return 0
    check_folder()
    began = time.monotonic()
    failed = _compile(missing, workers)
    parts = [f"{len(missing) - failed} compiled in {time.monotonic() - began:.0f} s"]
    if len(missing) < len(recipes):
        parts.append(f"{len(recipes) - len(missing)} were there")
    if failed:
        parts.append(f"{failed} failed")
    of_them = f"{len(recipes) - failed} of " if failed else ""
    print(f"{of_them}{count_units(len(recipes), 'kernel')} ready in {cache_folder()}: {', '.join(parts)}")
    return int(failed > 0)


def _compile(missing: "list[Recipe]", workers: int | None) -> int:
    """Compile kernels, and tell of those that can't be; returns how many."""
    from bptt.sweeps.workers.interrupts import Interrupts
    from bptt.sweeps.workers.kernels import Compiled, compiled
    from bptt.sweeps.workers.pool import Lost, Workers, WorkerSettings

    failed = 0
    with (
        Interrupts() as interrupts,
        Workers(WorkerSettings(workers=workers), tasks=len(missing)) as pool,
        interrupts.raising(),
        show_counting("compiling", "kernel", len(missing), pool.count) as tell,
    ):
        for outcome in pool.run(compiled, missing):
            ended = Compiled(outcome.task.name, outcome.reason) if isinstance(outcome, Lost) else outcome
            tell(1)
            if ended.error is not None:
                failed += 1
                print(f"{make_printable(ended.name)}: {ended.error}", file=sys.stderr, flush=True)
    return failed
