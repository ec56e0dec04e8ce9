"""python -m docs.make_results: train the shipped sweeps that aren't there yet, and write docs/results.

Each sweep's whole report is in its folder below multirun/; docs/results gets what is shipped of it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from docs.make_results.pictures import smaller
from docs.make_results.proofs import PREFIX, list_figures, write_index, write_page
from docs.make_results.shipping import shipped_files
from docs.make_results.tables import UnsupportedError
from docs.make_results.training import TrainingError, list_published, list_shipped, train

_RESULTS: Final = Path("docs/results")
_PAGES: Final = Path("docs/published")
_ARCHIVES: Final = Path("multirun")
_MOST: Final = 4_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """0: all is written, 1: a sweep failed, or the index can't be written from the tables; 130: interrupted."""
    parser = _make_parser()
    args = parser.parse_args(argv)
    every = [*list_shipped(), *list_published()]
    names = args.sweep or every
    if unknown := [name for name in names if name not in every]:
        parser.error(f"{unknown[0]}: no shipped sweep (there are {', '.join(every)})")
    try:
        if not args.index:
            # All are trained first: reports that were written would make the next sweep's work tree a changed one.
            archives = {name: _train(number, name, args.archives) for number, name in enumerate(names, 1)}
            for name, archive in archives.items():
                print(write_report(name, archive, args.output / name), flush=True)
        _write_indexes(args.output)
    except (TrainingError, UnsupportedError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    size = sum(path.stat().st_size for path in args.output.rglob("*") if path.is_file())
    print(f"{size / 1e6:.1f} MB in {args.output}" + (f", more than {_MOST / 1e6:g} MB" if size > _MOST else ""))
    return 0


def _write_indexes(output: Path) -> None:
    """The index of the results, and the pages of what was published, as far as there are the reports."""
    for names, write in ((list_shipped(), _write_index), (list_published(), _write_pages)):
        missing = [name for name in names if not (output / name / "report.md").exists()]
        if missing:
            print(f"no index, since there is no report of {', '.join(missing)}")
        else:
            print(write(output, names))


def _write_index(output: Path, names: Sequence[str]) -> Path:
    from docs.make_results.index import write

    return write(output, names)


def _write_pages(output: Path, names: Sequence[str]) -> Path:
    for name in names:
        write_page(name, output, _PAGES)
    return write_index(names, output, _PAGES)


def _train(number: int, name: str, archives: Path) -> Path:
    print(f"sweep {number}: {name}", flush=True)
    return train(name, archives)


def write_report(name: str, archive: Path, folder: Path) -> Path:
    """Write what is shipped of a finished sweep's report; returns its Markdown. Raises UnsupportedError."""
    from bptt.analysis.report.writing import make_report_files, write_report
    from bptt.analysis.sweep import load_sweep

    sweep = load_sweep(archive)
    shown = list_figures(name, _PAGES) if name.startswith(PREFIX) else None
    files = shipped_files(name, make_report_files([sweep], ["png"]), shown)
    write_report(
        folder,
        {path: smaller(content) if path.endswith(".png") else content for path, content in files.items()},
    )
    if sweep.provenance.get("git_dirty"):
        print(f"{archive}: trained by a program that differs from its commit; the report says how")
    return folder / "report.md"


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m docs.make_results", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "sweep",
        nargs="*",
        choices=[*list_shipped(), *list_published(), []],
        metavar="SWEEP",
        help="only these; otherwise all that come with bptt",
    )
    parser.add_argument("--index", action="store_true", help="write the index alone, from the reports that are there")
    parser.add_argument("--output", type=Path, default=_RESULTS, help=f"where the reports go ({_RESULTS})")
    parser.add_argument("--archives", type=Path, default=_ARCHIVES, help=f"where the sweeps are ({_ARCHIVES})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
