"""The sections that come first: what was asked, what all runs have in common, what was swept."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from bptt.analysis.factors import explain_key
from bptt.analysis.report.document import Column, Element, Listing, Mono, Paragraph, Section, Span, Table
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.rendering import write_share
from bptt.analysis.statistics.settings import clopper_pearson
from bptt.analysis.tables import SEED, show_values

if TYPE_CHECKING:
    import pandas as pd

_MOST_VALUES: Final = 24


_TARGET: Final = "._target_"


_BESIDE: Final = ("tracking", "allow", SEED)


def write_in_short(findings: Findings, question: str | None, proof: Sequence[Element] = ()) -> Section:
    """What came out, with what proves it; below that what is to be known beside it, and the question, as far as it does
    not stand elsewhere.
    """
    asked = [Paragraph((question,))] if question else []
    answer = [Paragraph((" ".join(findings.leading),), lead=True)] if findings.leading else []
    counts = Paragraph(tuple(_count_results(findings)), lead=not answer)
    notes = [Paragraph((note,)) for note in findings.notes]
    return Section("question", "Answer", [*answer, counts, *proof, *notes, *asked])


def write_setup(findings: Findings) -> Section:
    """What all runs have in common."""
    frame = _tabulate_setup(findings.common)
    table = Table(
        name="setup",
        title="What all runs have in common",
        caption=("A value that is not named here was swept.",),
        frame=frame,
        folded=True,
        columns=[Column("part", "Part"), Column("choice", "Choice", mono=True), Column("values", "Values", mono=True)],
    )
    return Section("setup", "Setup", [table, *_list_common(findings)])


def write_swept(findings: Findings) -> Section:
    """What differs between the runs."""
    runs = findings.sweep.runs
    keys = [key for key in findings.sweep.swept if key in runs]
    if not keys:
        return Section("swept", "What was swept", [Paragraph(("Nothing: it is a single run.",))])
    table = Table(
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
