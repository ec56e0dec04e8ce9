"""Runs of a recording as columns say what they say as objects."""

import numpy as np

from bptt.tracking.history.base import Member, MemberColumns

MEMBERS = [
    Member(number=3, name="a", digest="0a", swept={"seed": "1"}, updates=9),
    Member(number=4, name="b", digest="0b", swept={"model": "gru", "seed": "2"}, updates=None, tags={"study": "x"}),
    Member(number=7, name="c", digest="0c", swept={"alpha": "1", "seed": "3"}, updates=5, stage="tuning"),
]


def test_each_run_keeps_what_it_has() -> None:
    found = MemberColumns.of(MEMBERS)
    assert (found.numbers.tolist(), found.names, found.digests) == ([3, 4, 7], ["a", "b", "c"], ["0a", "0b", "0c"])
    assert (found.updates, found.stages) == ([9, None, 5], ["result", "result", "tuning"])
    assert found.swept == {"seed": ["1", "2", "3"], "model": [None, "gru", None], "alpha": [None, None, "1"]}
    assert found.tags == {"study": [None, "x", None]}
    assert (len(found), len(MemberColumns.of([]))) == (3, 0)


def test_of_some_there_are_the_keys_that_they_name_in_their_order() -> None:
    found = MemberColumns.of(MEMBERS)
    some = found.pick(np.array([False, True, True]))
    assert (some.numbers.tolist(), some.names, some.stages) == ([4, 7], ["b", "c"], ["result", "tuning"])
    assert [*some.swept.items()] == [("model", ["gru", None]), ("seed", ["2", "3"]), ("alpha", [None, "1"])]
    assert [*found.pick(np.array([True, False, True])).swept] == ["seed", "alpha"]
    assert found.pick(np.array([True, False, False])).tags == {}
    assert found.pick(np.ones(3, bool)) is found
    assert len(found.pick(np.zeros(3, bool))) == 0


def test_keys_of_one_run_keep_its_order() -> None:
    forms = [("a", "c"), ("a", "b", "c"), ("a", "b", "c")]
    members = [
        Member(
            number=number,
            name="",
            digest="",
            swept=dict.fromkeys(keys, "1"),
            updates=None,
            tags=dict.fromkeys(keys, "t"),
        )
        for number, keys in enumerate(forms)
    ]
    found = MemberColumns.of(members)
    assert [*found.swept] == [*found.tags] == ["a", "c", "b"]
    some = found.pick(np.array([False, True, True]))
    assert [*some.swept] == [*some.tags] == ["a", "b", "c"]
    assert some.named == some.tagged == forms[1:]
