"""What the root keys `published` and `measure` may say."""

from typing import Any

import pytest

from bptt.configuration.measuring import read_measuring
from bptt.configuration.published import Published, PublishedRow, make_published_plain, read_published

NUMBER = {
    "what": "the baseline",
    "at": "section 4.1",
    "measure": "loss/test",
    "theirs": 0.1733,
    "where": {"model": "lstm"},
}
CLAIM = {
    "what": "a bias of 1",
    "where": {"init.gate_bias.forget": 1},
    "against": {"init.gate_bias.forget": None},
    "claim": "more",
}


def read(*rows: Any) -> tuple[Published | None, list[str]]:
    problems: list[str] = []
    return read_published({"source": "Them (2016)", "rows": [*rows]}, problems), problems


def test_a_number_and_a_claim() -> None:
    published, problems = read(NUMBER, CLAIM)
    assert problems == []
    assert published is not None
    assert published.source == "Them (2016)"
    number, claim = published.rows
    assert number == PublishedRow(
        what="the baseline",
        at="section 4.1",
        measure="loss/test",
        theirs=0.1733,
        where=(("model", "lstm"),),
        claim="equal",
    )
    assert number.number == 0.1733
    assert claim.where == (("init.gate_bias.forget", 1),)
    assert claim.against == (("init.gate_bias.forget", None),)
    assert (claim.measure, claim.number) == ("solved", None)
    hash(published)  # as settings of a sweep are compared


def test_what_was_read_is_read_again_from_a_journal() -> None:
    published, _ = read(NUMBER, CLAIM)
    assert published is not None
    problems: list[str] = []
    assert read_published(make_published_plain(published), problems) == published
    assert problems == []
    assert read_published(None, problems) is None


def test_a_text_is_shown_and_not_compared() -> None:
    published, problems = read({"what": "length 100", "theirs": "failed"})
    assert problems == []
    assert published is not None
    assert (published.rows[0].number, published.rows[0].claim) == (None, None)


@pytest.mark.parametrize(
    ("node", "line"),
    [
        (3, "published=3: must be a mapping, {source: …, rows: [{what: …, theirs: …}]}"),
        ({"rows": [NUMBER]}, "published.source=null: must name the source, as a reference does"),
        ({"source": "x"}, "published.rows=null: must be a list of mappings, [{what: …, theirs: …}]"),
        ({"source": "x", "rows": []}, "published.rows=[]: must be a list of mappings, [{what: …, theirs: …}]"),
        ({"source": "x", "row": [1], "rows": [NUMBER]}, "published.row=[1]: no such key; did you mean published.rows?"),
        ({"source": "x", "rows": [3]}, "published.rows[0]=3: must be a mapping, {what: …, theirs: …}"),
    ],
)
def test_what_is_wrong_of_the_whole(node: Any, line: str) -> None:
    problems: list[str] = []
    assert read_published(node, problems) is None
    assert len(problems) == 1
    assert problems[0].startswith(line)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"what": " "}, "published.rows[0].what=: must say what the number or the claim is of"),
        ({"mesure": "x"}, "published.rows[0].mesure=x: unknown key; did you mean published.rows[0].measure?"),
        ({"theirs": [1]}, "published.rows[0].theirs=[1]: must be a number, which is compared, or a text"),
        ({"where": 3}, "published.rows[0].where=3: must be a mapping of swept keys and values"),
        ({"where": {"seed": [1]}}, "published.rows[0].where.seed=[1]: must be a number, a text, true, false or null"),
        ({"claim": "more"}, "published.rows[0].claim=more: must be equal, at_least, at_most of a number"),
        ({"against": {"model": "gru"}}, "published.rows[0].claim: missing; must be more, less, same"),
        ({"theirs": "failed", "claim": "equal"}, "published.rows[0].claim=equal: needs a number in theirs"),
        ({"within": -1}, "published.rows[0].within=-1: must be a number at least 0 and below 1"),
        ({"measure": "solved", "theirs": 50}, "published.rows[0].theirs=50: must be a share from 0 to 1"),
        ({"where": 0}, "published.rows[0].where=0: must be a mapping of swept keys and values"),
        ({"claim": "mor", "against": {"model": "gru"}}, "published.rows[0].claim=mor: must be "),
    ],
)
def test_what_is_wrong_of_a_row(changed: dict[str, Any], line: str) -> None:
    published, problems = read(NUMBER | changed)
    assert published is None
    assert len(problems) == 1
    assert problems[0].startswith(line)


def test_what_is_measured() -> None:
    problems: list[str] = []
    assert read_measuring(None, problems) == ()
    assert read_measuring({"lyapunov": "first", "sharpness": "all"}, problems) == (
        ("lyapunov", "first"),
        ("sharpness", "all"),
    )
    assert problems == []
    assert read_measuring({"lyapunof": "first", "sharpness": "al"}, problems) == ()
    assert problems == [
        "measure.lyapunof=first: no such measure; did you mean measure.lyapunov? (measures: lyapunov, jacobian,"
        " sharpness, fixed_points, noise_scale, truncation_bias)",
        "measure.sharpness=al: must be first, last or all; did you mean all?",
    ]
    problems.clear()
    read_measuring(["lyapunov"], problems)
    assert problems == ["measure=[lyapunov]: must be a mapping, as {lyapunov: first}"]
