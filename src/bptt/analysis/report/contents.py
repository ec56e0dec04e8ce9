"""What a report holds: that of one sweep; that of several, which is what differs between them, and then each one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from bptt.analysis.comparison import SOLVED, compare_sides, name_outcome, split_settings
from bptt.analysis.figures.dynamics import DYNAMICS
from bptt.analysis.report.document import (
    Column,
    Element,
    Figures,
    Heading,
    Missing,
    Mono,
    Paragraph,
    Report,
    Section,
    ShownTable,
    Span,
    attempt,
    attempt_section,
    attempt_some,
)
from bptt.analysis.report.findings import Findings
from bptt.analysis.report.sections.best import write_best
from bptt.analysis.report.sections.costs import write_costs
from bptt.analysis.report.sections.dynamics import write_dynamics
from bptt.analysis.report.sections.measured import write_stability, write_start
from bptt.analysis.report.sections.published import write_published
from bptt.analysis.report.sections.reach import write_reach
from bptt.analysis.report.sections.repeating import find_inputs, write_repeating
from bptt.analysis.report.sections.results import (
    choose_columns,
    write_choices,
    write_figures,
    write_results,
    write_settings_table,
    write_troubles,
)
from bptt.analysis.report.sections.search import has_found, write_found, write_given_up, write_search
from bptt.analysis.report.sections.setup import (
    list_origins,
    list_values,
    name_choice,
    write_in_short,
    write_origin,
    write_setup,
    write_swept,
    write_value,
)
from bptt.analysis.tables import LOSS, NOTHING, shorten_keys, write_moment
from bptt.tracking.folder.progress import write_duration

if TYPE_CHECKING:
    from bptt.analysis.figures import SweepFigure
    from bptt.analysis.statistics.conclusions import Comparison
    from bptt.analysis.sweep import Sweep


def report_single(
    sweep: "Sweep", drawn: "Sequence[SweepFigure]", options: Sequence[str], failed: Sequence[Missing] = ()
) -> Report:
    """All that is to be told of a sweep. What can't be told is named in its place.

    drawn    its figures
    options  of `bptt report`, as they were given
    failed   the figures that can't be drawn
    """
    findings = Findings(sweep)
    asked, rest = split_question(sweep.question)
    title = attempt("The title", lambda: write_title(findings))
    title = sweep.name if isinstance(title, Missing) else title
    proof: list[Element] = [Figures(drawn[:1])] if drawn else []
    table = attempt("The table of settings", lambda: _list_settings(findings))
    proof += [table] if isinstance(table, Missing) else table
    origin = attempt_section("provenance", "Provenance", lambda: write_origin(findings))
    again = attempt_section(
        "repeat", "How to repeat it", lambda: write_repeating([sweep], [find_inputs(sweep)], options)
    )
    return Report(
        asked or title,
        [*([title] if asked else []), *_list_facts(sweep)],
        [
            attempt_section("question", "Answer", lambda: write_in_short(findings, rest, proof), proof),
            *write_sections(findings, drawn[1:], True, failed),
            origin,
            again,
        ],
    )


def _list_settings(findings: Findings) -> list[Element]:
    """What proves the answer: the table of settings; of a search that of its best trials."""
    if has_found(findings.sweep):
        return [write_found(findings.sweep)]
    return [] if findings.statistics.empty else [write_settings_table(findings)]


def write_sections(
    findings: Findings, drawn: "Sequence[SweepFigure]", shown: bool = False, failed: Sequence[Missing] = ()
) -> list[Section]:
    """What is told of a sweep between the answer in short and where it comes from.

    shown   whether the table that proves the answer stands with it
    failed  the figures that can't be drawn
    """
    ours = [one for one in drawn if one.name.startswith(DYNAMICS)]
    others = [one for one in drawn if one not in ours]
    measured = not findings.sweep.measures.empty
    return [
        attempt_section("results", "Results", lambda: write_results(findings, shown and not has_found(findings.sweep))),
        *attempt_some("search", "What the search found", lambda: write_search(findings, shown)),
        *attempt_some("given_up", "What was given up", lambda: write_given_up(findings)),
        *attempt_some("published", "Beside what was published", lambda: write_published(findings)),
        *attempt_some("start", "What the start foretells", lambda: write_start(findings)),
        *attempt_some("reach", "How far each setting carries", lambda: write_reach(findings)),
        *attempt_some("choices", "What was chosen", lambda: write_choices(findings)),
        *attempt_some("costs", "What it cost", lambda: write_costs(findings)),
        *([write_figures(others, failed)] if others or failed or not shown else []),
        *([attempt_section("dynamics", "Dynamics", lambda: write_dynamics(findings, ours), [])] if measured else []),
        *attempt_some("stability", "The edge of stability", lambda: write_stability(findings)),
        attempt_section("troubles", "Failures and divergences", lambda: write_troubles(findings)),
        attempt_section("best", "Best configurations", lambda: write_best(findings)),
        attempt_section("swept", "What was swept", lambda: write_swept(findings)),
        attempt_section("setup", "Setup", lambda: write_setup(findings)),
    ]


def split_question(question: str | None) -> tuple[str, str]:
    """The sentence that asks, and what is said beside it; both empty where nothing was asked."""
    first, mark, rest = (question or "").strip().partition("?")
    return " ".join((first + mark).split()), rest.strip()


def write_title(findings: Findings) -> str:
    """The sweep's name where it came with one, else what it trains; and what it varies."""
    named = [word.partition("=")[2] for word in findings.sweep.command if word.startswith("sweep=")]
    parts = (name_choice(findings.common.get(f"{part}._target_")) for part in ("task", "model"))
    about = named[0] if named else ", ".join(part for part in parts if part) or findings.sweep.name
    keys = ", ".join(shorten_keys(findings.keys).values())
    return f"{about}: {keys}" if keys and not named else about


def _list_facts(sweep: "Sweep") -> Iterator[str]:
    yield sweep.name
    runs = len(sweep.runs)
    yield f"{runs:,} run{'s' * (runs != 1)}"
    if sweep.began is not None:
        yield write_moment(sweep.began)
    if sweep.seconds is not None:
        yield write_duration(sweep.seconds)
    if sweep.status != "FINISHED":
        yield sweep.status


def report_several(
    sweeps: "Sequence[Sweep]",
    drawn: "Sequence[Sequence[SweepFigure]]",
    options: Sequence[str],
    failed: "Sequence[Sequence[Missing]] | None" = None,
) -> Report:
    """What is to be told of several sweeps together. What can't be told is named in its place.

    drawn    the figures of each
    options  of `bptt report`, as they were given
    failed   the figures of each that can't be drawn
    """
    every = [Findings(sweep) for sweep in sweeps]
    labels = label_sweeps(every)
    own = failed or [[] for _ in sweeps]
    inputs = [find_inputs(sweep) for sweep in sweeps]
    sections = [
        attempt_section("question", "In short", lambda: _write_in_short(every, labels)),
        attempt_section("sweeps", "The sweeps", lambda: _write_sweeps(every, labels)),
        attempt_section("differing", "What differs", lambda: _write_differing(every, labels)),
        attempt_section("side_by_side", "Results side by side", lambda: _write_side_by_side(every, labels)),
        *(
            _write_one(number, label, write_sections(findings, figures, failed=lost))
            for number, (label, findings, figures, lost) in enumerate(zip(labels, every, drawn, own, strict=True), 1)
        ),
        attempt_section("provenance", "Provenance", lambda: _write_origins(sweeps, labels)),
        attempt_section("repeat", "How to repeat it", lambda: write_repeating(sweeps, inputs, options)),
    ]
    runs = sum(len(sweep.runs) for sweep in sweeps)
    return Report(" and ".join(labels), [f"{len(sweeps)} sweeps", f"{runs:,} runs"], sections)


def label_sweeps(every: Sequence[Findings]) -> list[str]:
    """What each sweep is called in the report: its title, and its name where titles are alike."""
    titles = [write_title(findings) for findings in every]
    return [
        title if titles.count(title) == 1 else f"{title} ({findings.sweep.name})"
        for title, findings in zip(titles, every, strict=True)
    ]


def _write_in_short(every: Sequence[Findings], labels: Sequence[str]) -> Section:
    elements: list[Element] = []
    for label, findings in zip(labels, every, strict=True):
        elements += [Heading(label), *write_in_short(findings, findings.sweep.question).elements]
    return Section("question", "In short", elements)


def _write_sweeps(every: Sequence[Findings], labels: Sequence[str]) -> Section:
    import pandas as pd

    rows = [
        {
            "sweep": label,
            "name": findings.sweep.name,
            "runs": len(findings.sweep.runs),
            "settings": int(findings.statistics["setting"].nunique()),
            "solved": str(findings.sweep.solved) if findings.sweep.solved.is_possible else NOTHING,
            "status": findings.sweep.status,
            "begun": "" if findings.sweep.began is None else write_moment(findings.sweep.began),
            "wall_time": _write_wall(findings.sweep),
        }
        for label, findings in zip(labels, every, strict=True)
    ]
    columns = [
        Column("sweep", "sweep"),
        Column("name", "name"),
        Column("runs", "runs", "count"),
        Column("settings", "settings", "count"),
        Column("solved", "solved is", mono=True),
        Column("begun", "begun"),
        Column("wall_time", "wall time"),
        Column("status", "status"),
    ]
    return Section("sweeps", "The sweeps", [ShownTable("sweeps", "The sweeps", (), pd.DataFrame(rows), columns)])


def _write_wall(sweep: "Sweep") -> str:
    return "" if sweep.seconds is None else write_duration(sweep.seconds)


def _write_differing(every: Sequence[Findings], labels: Sequence[str]) -> Section:
    """The keys that don't have the same values in all sweeps; what all have in common stands with each sweep."""
    import pandas as pd

    values = [_collect_values(findings) for findings in every]
    keys = dict.fromkeys(key for found in values for key in found)
    rows = [
        {"key": key} | {label: list_values(found.get(key, [])) for label, found in zip(labels, values, strict=True)}
        for key in keys
        if any(found.get(key) != values[0].get(key) for found in values[1:])
    ]
    if not rows:
        return Section("differing", "What differs", [Paragraph(("The sweeps have the same configurations.",))])
    columns = [Column("key", "key", mono=True), *(Column(label, label, mono=True) for label in labels)]
    caption: tuple[Span, ...] = ("Every key whose values are not the same in all sweeps.",)
    table = ShownTable("differing", "What differs between the sweeps", caption, pd.DataFrame(rows), columns)
    return Section("differing", "What differs", [table])


def _collect_values(findings: Findings) -> dict[str, list[str]]:
    """Key → its values in a sweep's configurations, each once."""
    found: dict[str, dict[str, None]] = {}
    for flat in findings.flat:
        for key, value in flat.items():
            if not key.startswith("tracking."):
                found.setdefault(key, {})[write_value(value)] = None
    return {key: list(values) for key, values in found.items()}


def _write_side_by_side(every: Sequence[Findings], labels: Sequence[str]) -> Section:
    import pandas as pd

    parts = [
        findings.statistics.drop(columns=findings.keys).assign(sweep=label)
        for label, findings in zip(labels, every, strict=True)
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame.insert(0, "sweep", frame.pop("sweep"))
    conditions = [Column("condition", "condition")] if "condition" in frame else []
    columns = [Column("sweep", "sweep"), *conditions, *choose_columns(frame, [])]
    table = ShownTable("side_by_side", "All settings", ("With each estimate its 95 % interval.",), frame, columns)
    return Section("side_by_side", "Results side by side", [table, *_compare_sweeps(every, labels)])


def _compare_sweeps(every: Sequence[Findings], labels: Sequence[str]) -> list[Element]:
    """Each two sweeps: settings that both have, else all runs of the one against all of the other."""
    import pandas as pd

    asked = [
        ((first, second), *part)
        for (first, one), (second, other) in combinations(zip(labels, every, strict=True), 2)
        for part in split_settings(one.sweep, other.sweep) or [("all runs", one.sweep, other.sweep)]
    ]
    found = compare_sides([(a, b) for _, _, a, b in asked], [SOLVED, LOSS], [names for names, _, _, _ in asked])
    rows = [
        {"first": names[0], "second": names[1], "setting": setting} | _tabulate(one)
        for (names, setting, _, _), one in zip(asked, found, strict=True)
    ]
    caption: tuple[Span, ...] = (
        "How likely the first sweep ends with a smaller ",
        Mono(LOSS),
        " than the second, ties counted half; and the difference of the shares that solved the task, first less second:"
        " on pairs of equal seeds, where there are any. Where the sweeps have settings in common each is compared with"
        " itself. Intervals allow for all comparisons.",
    )
    columns = [
        Column("first", "first"),
        Column("second", "second"),
        Column("setting", "setting"),
        Column("difference", "difference of the shares solved", "share", "difference_low", "difference_high"),
        Column("solves", "the first solves it"),
        Column("probability", "probability that the first is better", "share", "low", "high"),
        Column("does", "the first does"),
    ]
    return [
        Heading("Which is better"),
        ShownTable("compared", "The sweeps compared", caption, pd.DataFrame(rows), columns),
    ]


def _tabulate(found: "Mapping[str, Comparison]") -> dict[str, Any]:
    solved, loss = found[SOLVED], found[LOSS]
    return {
        "difference": solved.difference.value,
        "difference_low": solved.difference.low,
        "difference_high": solved.difference.high,
        "solves": name_outcome(solved),
        "probability": loss.difference.value,
        "low": loss.difference.low,
        "high": loss.difference.high,
        "does": name_outcome(loss),
    }


def _write_one(number: int, label: str, sections: Sequence[Section]) -> Section:
    """All that is told of one sweep, in one section; its files are numbered."""
    elements: list[Element] = []
    for section in sections:
        elements += [Heading(section.title), *(_number_files(element, number) for element in section.elements)]
    return Section(f"sweep-{number}", label, elements)


def _number_files(element: Element, number: int) -> Element:
    if isinstance(element, ShownTable):
        return replace(element, name=f"{number}_{element.name}")
    if isinstance(element, Figures):
        return Figures([replace(drawn, name=f"{number}_{drawn.name}") for drawn in element.drawn])
    return element


def _write_origins(sweeps: "Sequence[Sweep]", labels: Sequence[str]) -> Section:
    """What the sweeps were made with, side by side."""
    import pandas as pd

    told = [dict(list_origins(sweep)) for sweep in sweeps]
    packages = [sweep.provenance.get("packages") or {} for sweep in sweeps]
    rows = [_write_row(name, told, labels) for name in dict.fromkeys(name for found in told for name in found)]
    rows += [_write_row(name, packages, labels) for name in dict.fromkeys(name for found in packages for name in found)]
    columns = [Column("what", ""), *(Column(label, label, mono=True) for label in labels)]
    table = ShownTable("made_with", "What the numbers were made with", (), pd.DataFrame(rows), columns)
    return Section("provenance", "Provenance", [table])


def _write_row(name: str, found: Sequence[dict[str, Any]], labels: Sequence[str]) -> dict[str, str]:
    return {"what": name} | {label: str(known.get(name, "")) for label, known in zip(labels, found, strict=True)}
