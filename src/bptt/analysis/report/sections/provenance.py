"""The section on where the numbers come from: program, packages, machine, times, and every run's digest."""

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.report.document import Column, Element, Paragraph, Section, Table
from bptt.analysis.report.findings import Findings
from bptt.analysis.sweep import hash_results
from bptt.analysis.tables import ACCURACY, LOSS, write_duration, write_moment
from bptt.tracking.folder.files import ONCE

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep

_MOST_RUNS: Final = 1000


_MACHINE: Final = (
    ("python", "Python"),
    ("platform", "Operating system"),
    ("cpu", "Processor"),
    ("target", "Processor that kernels are compiled for"),
    ("simd", "float64 numbers in a vector"),
    ("cores", "Cores"),
)


def write_origin(findings: Findings) -> Section:
    """Everything that the numbers depend on."""
    sweep = findings.sweep
    elements: list[Element] = [
        _tabulate_facts("made_with", "What the numbers were made with", list_origins(sweep)),
        *_tabulate_packages(sweep.provenance.get("packages") or {}),
        _tabulate_runs(findings),
    ]
    if not sweep.provenance:
        elements.insert(0, Paragraph(("The environment was not recorded.",)))
    return Section("provenance", "Provenance", elements)


def list_origins(sweep: "Sweep") -> list[tuple[str, str]]:
    """What a sweep was made with: what, and its value."""
    known = sweep.provenance
    version = (known.get("packages") or {}).get("bptt")
    found: list[tuple[str, Any]] = [("bptt", version), ("Commit", known.get("git_commit"))]
    if known.get("git_commit"):
        found.append(("Work tree", _write_work_tree(known)))
    found.append(("Numerical version", known.get("numerical_version")))
    found += [(heading, known.get(key)) for key, heading in _MACHINE]
    found.append(("BLAS", _write_blas(known.get("blas") or {})))
    times = (("Begun", sweep.began), ("Ended", sweep.ended))
    found += [(heading, write_moment(time)) for heading, time in times if time is not None]
    found.append(("Wall time", _write_wall(sweep)))
    seconds = sweep.runs["seconds"]
    if seconds.notna().any():
        found.append(("Training, all runs together", write_duration(float(seconds.sum()))))
    found.append(("Digest of all runs' digests", combine_digests(sweep.runs["digest"])))
    found.append(("Results sha256", hash_results([sweep])))
    return [(heading, str(value)) for heading, value in found if value not in (None, "")]


def combine_digests(digests: "pd.Series") -> str:
    """Sixteen hexadecimal characters that two sweeps share when they have the same runs, in whatever order."""
    return sha256("\n".join(sorted(map(str, digests))).encode()).hexdigest()[:16]


def _write_wall(sweep: "Sweep") -> str | None:
    return None if sweep.seconds is None else write_duration(sweep.seconds)


def _write_work_tree(known: dict[str, Any]) -> str:
    if not known.get("git_dirty"):
        return "as the commit" if known.get("git_dirty") is False else "unknown"
    return f"differs from the commit by the patch {known.get('git_diff') or 'that was not kept'}"


def _write_blas(blas: dict[str, Any]) -> str:
    threads = blas.get("threads")
    words = [blas.get("name"), blas.get("version"), blas.get("architecture")]
    return " ".join(
        [*(str(word) for word in words if word), *([f"({threads} thread{'s' * (threads != 1)})"] if threads else [])]
    )


def _tabulate_facts(name: str, title: str, rows: list[tuple[str, str]]) -> Table:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=["what", "value"])
    return Table(name, title, (), frame, [Column("what", ""), Column("value", "", mono=True)])


def _tabulate_packages(packages: dict[str, str]) -> list[Table]:
    import pandas as pd

    if not packages:
        return []
    frame = pd.DataFrame(sorted(packages.items()), columns=["package", "version"])
    return [
        Table(
            "packages", "Packages", (), frame, [Column("package", "package"), Column("version", "version", mono=True)]
        )
    ]


def _tabulate_runs(findings: Findings) -> Table:
    """Every run, so that one can be compared with a repetition of it."""
    runs = findings.runs
    metrics = [name for name in (LOSS, ACCURACY) if name in runs]
    tests = [name for name in ONCE if name in runs and name != "baseline"]
    keys = [key for key in (*findings.sweep.swept, *findings.sweep.tuned) if key in runs]
    frame = runs[
        [
            "run",
            "name",
            *keys,
            "status",
            "outcome",
            "updates",
            *metrics,
            *tests,
            "solved_after",
            "solved_update",
            "digest",
        ]
    ]
    columns = [
        Column("run", "run", "exact"),
        Column("name", "what was swept"),
        Column("outcome", "outcome"),
        Column("updates", "updates", "count"),
        *(Column(name, name, "number") for name in metrics),
        Column("solved_update", "solved at update", "count", after="solved_after"),
        Column("digest", "digest", mono=True),
    ]
    caption = (
        "A digest is of a run's resolved configuration, the content of the files that it names, and the numerical"
        " version: runs with the same digest have the same bits. The SHA-256 of the results is of every number that was"
        " recorded of them.",
    )
    title = f"All {len(frame):,} runs" if len(frame) > 1 else "The run"
    return Table("runs", title, caption, frame.reset_index(drop=True), columns, _MOST_RUNS, folded=True, latex=False)
