import pytest

from bptt.tracking.history.base import Member
from bptt.tracking.history.find import Narrowing, is_same, split_source
from bptt.tracking.store.connecting import SourceError

MEMBERS = [
    Member(number=number, name="", digest="", updates=None, swept=swept)
    for number, swept in enumerate(
        [
            {"model": "elman", "optimizer.alpha": "0.1", "clip.threshold": "1"},
            {"model": "lstm", "optimizer.alpha": "1e-1", "clip.threshold": "1"},
            {"model": "lstm", "optimizer.alpha": "0.2", "early_stop.threshold": "3"},
            {"model": "gru", "task.path": "'a, b.npz'"},
        ]
    )
]


@pytest.mark.parametrize(
    ("text", "source", "number", "values"),
    [
        ("sweep:12", "sweep", 12, {}),
        ("a/b:model=lstm", "a/b", None, {"model": ["lstm"]}),
        ("sweep:model=lstm,optimizer.alpha=0.1", "sweep", None, {"model": ["lstm"], "optimizer.alpha": ["0.1"]}),
        ("sweep:alpha=0.1,0.2,model=lstm", "sweep", None, {"alpha": ["0.1", "0.2"], "model": ["lstm"]}),
        ("sweep:x=[1,2],y=f(1,2)", "sweep", None, {"x": ["[1,2]"], "y": ["f(1,2)"]}),
        ("params.model = 'gru':3", "params.model = 'gru'", 3, {}),
    ],
)
def test_what_narrows_a_source_stands_behind_a_colon(
    text: str, source: str, number: int | None, values: dict[str, list[str]]
) -> None:
    assert split_source(text) == (source, Narrowing(number, values))


@pytest.mark.parametrize(
    "text", ["sweep", "a/b", "C:/sweeps/mine", "params.x = 'a:12'", "tags.`a:b` = 'c'", "tags.x = 'a:b=c'", ":12"]
)
def test_other_colons_are_part_of_the_source(text: str) -> None:
    assert split_source(text) == (text, None)


def numbers(text: str) -> list[int]:
    narrowing = split_source(f"sweep:{text}")[1]
    assert narrowing is not None
    return narrowing.of(MEMBERS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", [2]),
        ("model=lstm", [1, 2]),
        ("model=lstm,gru", [1, 2, 3]),
        ("alpha=0.1", [0, 1]),  # a number counts by its value, a key by its last part
        ("optimizer.alpha=.10,model=lstm", [1]),
        ("clip.threshold=1.0", [0, 1]),
        ("early_stop.threshold=3", [2]),
    ],
)
def test_the_runs_that_are_meant(text: str, expected: list[int]) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("4", ":4: there is no such run; they are numbered 0 to 3"),
        ("model=rnn", ":model=rnn: no run has this value; there are elman, lstm, gru"),
        ("modle=lstm", ":modle=: not swept there; did you mean model? swept were model, optimizer.alpha, clip.thresh"),
        ("threshold=1", ":threshold=: not swept there; "),  # there are two
        ("model=elman,alpha=0.2", ":model=elman,alpha=0.2: no run has all of these values"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(text: str, told: str) -> None:
    with pytest.raises(SourceError) as caught:
        numbers(text)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


def test_the_numbers_of_a_sweep_that_asks_for_its_runs_may_have_gaps() -> None:
    with pytest.raises(SourceError, match="numbered 0 to 3"):
        Narrowing(1, {}).of(MEMBERS[::3])


def test_values_that_are_the_same() -> None:
    assert is_same("1", "1.0")
    assert is_same("null", "null")
    assert is_same("'a'", "a")
    assert not is_same("1", "true")
    assert not is_same("a", None)


def test_it_is_shown_as_it_was_given() -> None:
    for text in ("12", "model=lstm,gru,alpha=0.1"):
        assert str(split_source(f"sweep:{text}")[1]) == text
