"""What was published, beside what these runs say: a table with a verdict for each number and claim."""

from collections import Counter
from typing import Final

from bptt.analysis.published import SOLVED, UPDATES, WORDS, HeldAgainst, PublishedAnswer, write_ours
from bptt.analysis.report.document import Column, Element, Paragraph, Section, ShownTable
from bptt.analysis.report.findings import Findings
from bptt.analysis.statistics.conclusions import MARGIN
from bptt.analysis.tables import show_value
from bptt.configuration.published import PublishedRow

_FEW: Final = 10  # from which on the coverage of a median's interval was simulated
TITLE: Final = "Beside what was published"


def write_published(findings: Findings) -> list[Section]:
    """The table of what a source says and what was found; none where the sweep is held against nothing."""
    held = HeldAgainst.of(findings)
    if held is None:
        return []
    elements: list[Element] = [
        Paragraph((held.published.source,)),
        Paragraph((_count_verdicts(held.answers),)),
        _tabulate(held),
    ]
    return [Section("published", TITLE, elements)]


def _count_verdicts(answers: list[PublishedAnswer]) -> str:
    counts = Counter(answer.verdict for answer in answers)
    compared = sum(counts[verdict] for verdict in ("same", "different", "unsettled"))
    if not compared and counts["missing"]:
        return "No run answers what is compared."
    if not compared:
        return "Nothing that is compared was published."
    told = [f"{counts['same']} of {compared} {'is' if counts['same'] == 1 else 'are'} the same here"]
    told += [f"{counts['different']} {'is' if counts['different'] == 1 else 'are'} different"] * bool(
        counts["different"]
    )
    told += [f"{counts['unsettled']} not settled by these runs"] * bool(counts["unsettled"])
    told += [f"{counts['missing']} {'has' if counts['missing'] == 1 else 'have'} no runs"] * bool(counts["missing"])
    return f"Of the numbers and claims of the source {', '.join(told)}."


def _write_theirs(row: PublishedRow) -> str:
    """What they say, as a cell of a table."""
    if row.theirs is None:
        return ""
    bound = {"at_least": "at least ", "at_most": "at most "}.get(row.claim or "", "")
    return f"{bound}{show_value(row.theirs)}"


def _tabulate(held: HeldAgainst) -> ShownTable:
    import pandas as pd

    rows = [
        {
            "what": answer.row.what,
            "at": answer.row.at,
            "theirs": _write_theirs(answer.row),
            "ours_text": write_ours(answer),
            "verdict_text": WORDS[answer.verdict],
            "measure": answer.row.measure,
            "claim": answer.row.claim or "",
            "within": answer.row.within,
            "runs": answer.runs,
            **answer.ours.name_columns("ours"),
            "verdict": answer.verdict,
        }
        for answer in held.answers
    ]
    numbers = sum(answer.row.number is not None for answer in held.answers)
    comparisons = sum(answer.found is not None for answer in held.answers)
    allowing = [f"those of numbers allow for all {numbers}"] * (numbers > 1)
    allowing += [f"those of comparisons for all {comparisons}"] * (comparisons > 1)
    several = f"; {', '.join(allowing)}" if allowing else ""
    shares = any(answer.row.measure == SOLVED for answer in held.answers)
    points = ", of a share of runs within as many percentage points" * shares
    few = any(a.row.measure not in (SOLVED, UPDATES) and a.found is None and 0 < a.runs < _FEW for a in held.answers)
    told = f" Intervals of medians of fewer than {_FEW} runs cover less often than they say." * few
    caption = (
        f"With ours its 95 % interval{several}. A number is the same where the whole interval lies within"
        f" {100 * MARGIN:.0f} % of it{points}, unless its row in the CSV file says within what else;"
        " different where the whole interval lies farther from it. A claim about two settings holds where the interval"
        f" of their difference says so; runs with equal seeds are pairs.{told}",
    )
    columns = [
        Column("what", "published"),
        Column("at", "where"),
        Column("theirs", "theirs"),
        Column("ours_text", "ours"),
        Column("runs", "runs", "count"),
        Column("verdict_text", "here it is"),
    ]
    return ShownTable("published", TITLE, caption, pd.DataFrame(rows), columns)
