"""The sections on what was done: what was asked, what runs have in common, what was swept; where numbers are from."""

import math
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.factors import explain_key
from bptt.analysis.foretelling import Start
from bptt.analysis.report.document import Column, Element, Listing, Mono, Paragraph, Section, ShownTable, Span
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.rendering import write_share
from bptt.analysis.report.sections.data import write_data
from bptt.analysis.statistics.settings import clopper_pearson
from bptt.analysis.sweep import hash_results
from bptt.analysis.tables import ACCURACY, LOSS, SEED, show_values, write_moment
from bptt.tracking.folder.files import list_once
from bptt.tracking.folder.progress import write_duration

if TYPE_CHECKING:
    import pandas as pd

    from bptt.analysis.sweep import Sweep

_MOST_VALUES: Final = 24


_TARGET: Final = "._target_"


_BESIDE: Final = ("tracking", "allow", SEED)


def write_in_short(findings: Findings, question: str | None, proof: Sequence[Element] = ()) -> Section:
    """What came out, with what proves it, and what foretold it, where the start was measured; below that what is to be
    known beside it, and the question, as far as it does not stand elsewhere.
    """
    asked = [Paragraph((question,))] if question else []
    answer = [Paragraph((" ".join(findings.leading),), lead=True)] if findings.leading else []
    start = Start(findings.sweep)
    if start.is_measured and any(one.outcome in ("larger", "smaller") for one in start.found):
        answer.append(Paragraph((start.leading[0],), lead=True))
    counts = Paragraph(tuple(_count_results(findings)), lead=not answer)
    notes = [Paragraph((note,)) for note in findings.notes]
    return Section("question", "Answer", [*answer, counts, *proof, *notes, *asked])


def write_setup(findings: Findings) -> Section:
    """What all runs have in common."""
    frame = _tabulate_setup(findings.common)
    table = ShownTable(
        name="setup",
        title="What all runs have in common",
        caption=("A value that is not named here was swept.",),
        frame=frame,
        folded=True,
        columns=[Column("part", "Part"), Column("choice", "Choice", mono=True), Column("values", "Values", mono=True)],
    )
    return Section("setup", "Setup", [*write_data(findings.sweep), table, *_list_common(findings)])


def write_swept(findings: Findings) -> Section:
    """What differs between the runs."""
    runs = findings.sweep.runs
    keys = [key for key in findings.sweep.swept if key in runs]
    if not keys:
        return Section("swept", "What was swept", [Paragraph(("Nothing: it is a single run.",))])
    table = ShownTable(
        name="swept",
        title="What was swept",
        caption=(
            f"{_write_count(len(runs), 'run')} of {_write_count(_count_settings(findings), 'setting')}: all that was"
            " swept but the seed",
            *_name_conditions(findings.conditions),
            ".",
        ),
        frame=_tabulate_swept(runs, keys),
        columns=[
            Column("key", "Key", mono=True),
            Column("meaning", "Meaning"),
            Column("values", "Values"),
            Column("number", "Number", "count"),
        ],
    )
    left_out = findings.sweep.duplicates
    told = [Paragraph((f"{_write_count(left_out, 'job')} asked for a run that was there already, and was left out.",))]
    return Section("swept", "What was swept", [table, *(told if left_out else [])])


def _describe_fit(ranked: "pd.DataFrame") -> Iterator[Span]:
    """How well the best setting fits, on the test set where there is one."""
    part = "test" if "r2_test_median" in ranked else "eval"
    r2, rmse = (f"{name}_{part}_median" for name in ("r2", "rmse"))
    if {r2, rmse} <= {*ranked} and math.isfinite(ranked.iloc[0][rmse]):
        where = "test" if part == "test" else "evaluation"
        best = " The best setting's" if len(ranked) > 1 else " Their"
        yield f"{best} median R² is {ranked.iloc[0][r2]:.3f} on the {where} set, RMSE {ranked.iloc[0][rmse]:.3g}."


def _count_results(findings: Findings) -> Iterator[Span]:
    runs, settings, solved = findings.sweep.runs, findings.ranked, findings.solved
    yield f"{_write_count(len(runs), 'run')} of {_write_count(_count_settings(findings), 'setting')}"
    if findings.conditions:
        yield f" in {_write_count(int(settings['condition'].nunique()), 'condition')}"
    if findings.ended < len(runs):
        yield f", of which {findings.ended:,} ended"
    if "success" not in settings or not findings.ended:
        yield "."
        return
    if not findings.sweep.solved.is_possible:
        yield ". Targets are numbers, which networks fit more or less well: nothing says when that is solved."
        yield from _describe_fit(settings)
        return
    if len(runs) == 1:
        yield from (", which solved" if solved else ", which did not solve", " the task: ")
        yield Mono(str(findings.sweep.solved))
        yield " at some recorded update." if solved else " at no recorded update."
        return
    of = "those that ended" if findings.ended < len(runs) else "them"
    count = "None" if not solved else "All" if solved == findings.ended else f"{solved:,}"
    yield f". {count} of {of} solved the task, "
    yield Mono(str(findings.sweep.solved))
    yield " at some recorded update" if solved else " at any recorded update"
    if len(settings) > 1:  # an interval would take settings for chance
        yield "."
        return
    overall = clopper_pearson(solved, findings.ended)
    low, high = write_share(overall.low), write_share(overall.high)
    yield f": {write_share(overall.value)}, 95 % interval {low} to {high}."


def _count_settings(findings: Findings) -> int:
    return int(findings.statistics["setting"].nunique())


def _name_conditions(keys: list[str]) -> Iterator[Span]:
    yield " and the conditions, across which nothing is ranked: " if keys else ""
    for number, key in enumerate(keys):
        yield ", " if number else ""
        yield Mono(key)


def _tabulate_setup(common: dict[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for part in dict.fromkeys(key.partition(".")[0] for key in common):
        if part in _BESIDE:
            continue
        own = {key: value for key, value in common.items() if key.partition(".")[0] == part}
        rows.append(
            {
                "part": part,
                "choice": name_choice(own.get(part + _TARGET)),
                "values": "  ".join(_write_values(part, own)),
            }
        )
    return pd.DataFrame(rows, columns=["part", "choice", "values"])


def _write_values(part: str, own: dict[str, Any]) -> Iterator[str]:
    for key, value in own.items():
        name = key.removeprefix(f"{part}.")
        if key == part + _TARGET or (part == "init" and value is None):
            continue
        if name.startswith("early_stop.") and own.get("train.early_stop.metric") is None:
            continue
        if name in ("snapshots", "snapshot_spacing") and not own.get("train.snapshots"):
            continue
        if name in ("keep", "keep_by") and own.get("train.keep") != "best":
            continue
        if name == "early_stop.patience" and value is None:
            continue
        if name.endswith(_TARGET):
            name, value = name.removesuffix(_TARGET), name_choice(value)
        yield f"{name}={write_value(value)}"


def name_choice(target: object) -> str:
    """The name of the choice that a `_target_` is, the module of its class; empty where it is none."""
    return target.split(".")[-2] if isinstance(target, str) and "." in target else ""


def write_value(value: Any) -> str:
    """A value of a configuration, as on the command line."""
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _list_common(findings: Findings) -> list[Listing]:
    """The whole configuration as far as it is common to all runs."""
    if not findings.common:
        return []
    nested: dict[str, Any] = {}
    for key, value in findings.common.items():
        if key.partition(".")[0] == "tracking":
            continue
        *path, last = key.split(".")
        node = nested
        for name in path:
            node = node.setdefault(name, {})
        node[last] = value
    from bptt.tracking.folder.files import dump_config

    summary: tuple[Span, ...] = ("The resolved configuration, as far as all runs have it in common",)
    return [Listing(dump_config(nested), summary, folded=True)]


def _tabulate_swept(runs: "pd.DataFrame", keys: list[str]) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for key in keys:
        values = show_values(runs[key].dropna().drop_duplicates())
        rows.append({"key": key, "meaning": explain_key(key), "values": list_values(values), "number": len(values)})
    return pd.DataFrame(rows)


def list_values(values: list[str]) -> str:
    """Values in their order, the first ones and the last where they are many: `0.1, 0.3`, `0 to 99`."""
    if values == [str(number) for number in range(len(values))] and len(values) > 2:
        return f"0 to {len(values) - 1}"
    shown = values if len(values) <= _MOST_VALUES else [*values[: _MOST_VALUES // 2], "…", values[-1]]
    return ", ".join(shown)


def _write_count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


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


def _tabulate_facts(name: str, title: str, rows: list[tuple[str, str]]) -> ShownTable:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=["what", "value"])
    return ShownTable(name, title, (), frame, [Column("what", ""), Column("value", "", mono=True)])


def _tabulate_packages(packages: dict[str, str]) -> list[ShownTable]:
    import pandas as pd

    if not packages:
        return []
    frame = pd.DataFrame(sorted(packages.items()), columns=["package", "version"])
    return [
        ShownTable(
            "packages", "Packages", (), frame, [Column("package", "package"), Column("version", "version", mono=True)]
        )
    ]


def _tabulate_runs(findings: Findings) -> ShownTable:
    """Every run, so that one can be compared with a repetition of it."""
    runs = findings.runs
    metrics = [name for name in (LOSS, ACCURACY) if name in runs]
    tests = [name for name in list_once(runs.columns) if name != "baseline"]
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
    return ShownTable(
        "runs", title, caption, frame.reset_index(drop=True), columns, _MOST_RUNS, folded=True, latex=False
    )
