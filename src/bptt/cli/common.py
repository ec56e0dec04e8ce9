"""What commands share: refusing arguments in one line, telling whoever still reads, and the option `--allow PACKAGE`.

A closed terminal or pipe ends no training. A record alone can't say whose code is run: the command has to.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

from bptt.printable import make_lines_printable, make_printable

if TYPE_CHECKING:
    from bptt.tracking.history.find import PastRun


class Parser(argparse.ArgumentParser):
    """A command's parser; no name may be cut short, as another one may come to begin like it."""

    def __init__(self, prog: str, **settings: object) -> None:
        super().__init__(prog, allow_abbrev=False, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with exit code 2."""
        refuse(self.prog, message)


def refuse(command: str, message: str) -> NoReturn:
    """Say what is wrong with a command's arguments, and end with exit code 2."""
    print(f"{command}: {message}; {command} --help says more", file=sys.stderr)
    raise SystemExit(2)


class _TextAlone:
    """A stream on which text stays text: what would do something to a terminal is written out."""

    def __init__(self, raw: TextIO) -> None:
        self.drawn_on = raw

    def write(self, text: str) -> int:
        self.drawn_on.write(make_lines_printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.drawn_on, name)


@contextmanager
def print_text_alone() -> Iterator[None]:
    """Let nothing that is printed do anything to a terminal: names, errors of other programs, warnings, logs.

    What is to draw takes the stream from `find_drawn_on`, and sees to its texts by itself.
    """
    before = sys.stdout, sys.stderr
    with Path(os.devnull).open("w", encoding="utf-8") as nobody:  # of a stream that was closed before the program began
        streams: Iterable[TextIO | None] = before
        sys.stdout, sys.stderr = (cast("TextIO", _TextAlone(find_drawn_on(stream or nobody))) for stream in streams)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def find_drawn_on(stream: TextIO) -> TextIO:
    """The stream itself, on which colours and bars are drawn."""
    return stream.drawn_on if isinstance(stream, _TextAlone) else stream


def print_lines(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines that hold names from elsewhere, each on one line whatever it holds; on stdout unless told."""
    print("\n".join(map(make_printable, lines)), file=sys.stdout if stream is None else stream, flush=True)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line, on stderr unless another stream is given; where nobody reads any more, nothing."""
    stream = sys.stderr if stream is None else stream
    try:
        print(text, file=stream, flush=True)
    except OSError:
        forget(stream)


def forget(stream: TextIO) -> None:
    """Let a stream that nobody reads any more lead nowhere: at its end Python would try once more to write to it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def call_on_folder(name: str, act: Callable[[], int]) -> int:
    """What a command does with a sweep's or a run's folder; returns the exit code, 2 where it is refused in a line.

    name  what the folder is called, should another process hold it
    """
    from bptt.configuration.errors import ConfigurationError
    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.folder.lock import LockedError
    from bptt.tracking.folder.run import ResumeError
    from bptt.tracking.store.address import StoreError
    from bptt.tracking.store.connecting import SourceError

    try:
        return act()
    except LockedError:
        print(f"{name}: is still being trained, by another process", file=sys.stderr)
    except (ArchiveError, ResumeError, SourceError, StoreError, ConfigurationError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 2


def find_single_run(source: str, uri: str | None) -> "PastRun":
    """The one run that is meant. Raises SourceError where it is none or several, and as `find_past_runs` does."""
    from bptt.analysis.sweep import pick_best
    from bptt.tracking.history.find import SourceError, find_past_runs

    runs = find_past_runs(source, uri, pick_best)
    if len(runs) != 1:
        whole = source.removesuffix(":best")
        best = "" if whole != source else f" or {source}:best"
        example = f", as in {whole}:{runs[0].number}{best}" if runs else ""
        raise SourceError(f"{source}: {len(runs):,} runs; name one of them{example}")
    return runs[0]


def explain_network(recorded: "PastRun") -> list[str]:
    """Which network a run left that diverged, and from where one starts whose state was carried and is lost."""
    diverged, carries = recorded.outcome == "diverged", recorded.config["train"].get("carry_state")
    record = recorded.record if diverged or carries else None
    if record is None:
        return []
    lines = list[str]()
    if diverged and record.kept_update == record.updates:
        lines.append("outcome  diverged: these are the weights of the update at which it did")
    elif diverged:
        at, kept = f"{record.updates:,}", f"{record.kept_update:,}"
        lines.append(f"outcome  diverged at update {at}: these are the weights of its best, of {kept}")
    if carries and not record.state.size:
        lines.append("start    zero: the state with which training ended was not recorded where this run was read")
    return lines


def add_allow(parser: argparse.ArgumentParser) -> None:
    """Add the option to a command that builds what a record describes."""
    parser.add_argument(
        "--allow",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="a package of your own whose classes the record may name, as with allow=[PACKAGE] of `bptt train`",
    )


def add_store(parser: argparse.ArgumentParser, meant: str) -> None:
    """Add the option that names a store, by whichever of its names; `args.uri` holds it. meant: without the option."""
    parser.add_argument(
        "--store",
        "--uri",
        dest="uri",
        metavar="URI",
        help=f"the store; passwords may go to its host; otherwise {meant}",
    )


def write_store_option(uri: str | None) -> str:
    """The option, as it follows a command in a shell; empty where the command goes to this store without."""
    from bptt.tracking.store.address import is_named

    return "" if uri is None or is_named(uri) else f" --store {shlex.quote(uri)}"


def add_workers(parser: "argparse._ArgumentGroup") -> None:
    """Add the options that say which workers go on with a sweep; `read_workers` reads them."""
    parser.add_argument("--backend", type=_name_backend, help="loky, dask, ray, slurm, or a function of your own")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--address")


def read_workers(args: argparse.Namespace) -> dict[str, object]:
    """The settings of the launcher that were given."""
    settings = {name: getattr(args, name) for name in ("backend", "workers", "address")}
    return {name: value for name, value in settings.items() if value is not None}


def _name_backend(text: str) -> str:
    from bptt.sweeps.workers.backends import BACKENDS, refuse_name

    if refuse_name(text) is not None:
        raise argparse.ArgumentTypeError(f"invalid choice: {text!r} (choose from {', '.join(BACKENDS)})")
    return text


def write_allow_options(packages: Iterable[str]) -> str:
    """The options, as they follow a command in a shell; empty without packages."""
    return "".join(f" --allow {shlex.quote(package)}" for package in dict.fromkeys(packages))
