"""`bptt warm [overrides]`: compiles kernels ahead of time, for an image or a cluster's shared folder."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from bptt.cli import hydra_app
from bptt.cli.common import Parser, find_drawn_on
from bptt.configuration.errors import ConfigurationError
from bptt.printable import make_printable

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

    from bptt.sweeps.search.search import Search
    from bptt.sweeps.workers.kernels import Recipe

_SECONDS_BETWEEN_LINES: Final = 5.0


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
        print(f"{_write_kernels(len(recipes))} ready in {cache_folder()}: all were there")
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
    print(f"{of_them}{_write_kernels(len(recipes))} ready in {cache_folder()}: {', '.join(parts)}")
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
        _show_progress(len(missing), pool.count) as one_more,
    ):
        for outcome in pool.run(compiled, missing):
            ended = Compiled(outcome.task.name, outcome.reason) if isinstance(outcome, Lost) else outcome
            one_more()
            if ended.error is not None:
                failed += 1
                print(f"{make_printable(ended.name)}: {ended.error}", file=sys.stderr, flush=True)
    return failed


def _write_kernels(count: int) -> str:
    return f"{count} kernel{'s'[: count != 1]}"


@contextmanager
def _show_progress(count: int, workers: int, stream: TextIO | None = None) -> Iterator[Callable[[], None]]:
    """What is called with each kernel that is done: a bar on a terminal, a line now and then elsewhere."""
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        print(f"compiling {_write_kernels(count)}, {workers} at a time", file=stream, flush=True)
        yield _print_lines(count, stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("compiling"), BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("kernels"))
    console = Console(file=find_drawn_on(stream))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("", total=count)
        yield lambda: bar.advance(task)


def _print_lines(count: int, stream: TextIO) -> Callable[[], None]:
    done, last = 0, time.monotonic()

    def one_more() -> None:
        nonlocal done, last
        done += 1
        if done < count and time.monotonic() >= last + _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"  {100 * done / count:3.0f} %  {done} of {_write_kernels(count)}", file=stream, flush=True)

    return one_more
