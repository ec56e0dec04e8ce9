"""A few seconds of the campaigns that `make fuzz` runs for minutes, and that a campaign finds what it looks for."""

import random
from pathlib import Path

import pytest

from bptt.configuration.errors import ConfigurationError
from tests.fuzzing import archives, overrides
from tests.fuzzing.campaign import Refused, Target, run

SECONDS = 3.0


def test_overrides() -> None:
    report = run(overrides.target(), seed=0, seconds=SECONDS)
    assert report.faults == [], str(report)
    assert report.refusals


def test_npz(tmp_path: Path) -> None:
    report = run(archives.target(tmp_path), seed=0, seconds=SECONDS)
    assert report.faults == [], str(report)
    assert report.accepted > 0
    assert report.refusals
    assert list(tmp_path.iterdir()) == []


def test_the_same_seed_makes_the_same_cases(tmp_path: Path) -> None:
    for target in (overrides.target(), archives.target(tmp_path)):
        made = [[target.make(random.Random(f"{seed} {place}")) for place in range(20)] for seed in (1, 1, 2)]
        assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ZeroDivisionError("x"), "raised ZeroDivisionError: x"),
        (MemoryError("x"), "raised MemoryError: x"),
        (Refused(()), "refused without a word"),
        (Refused(("a", "")), "refused without a word"),
        (Refused(("a", "a")), "said twice: ('a', 'a')"),
        (Refused(("a\nb",)), "refused with a line that can't be read: 'a\\nb'"),
    ],
)
def test_what_is_a_fault(error: Exception, says: str) -> None:
    def feed(_given: str) -> None:
        raise error

    report = run(Target("broken", lambda rng: "given", feed), seed=0, seconds=60, first=7, most=1)
    assert report.faults == [(7, "'given'", says)]
    assert f"FAULT in case 7: {says}\n    'given'\n  faults: 1" in str(report)


def test_a_hang_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def feed(_given: str) -> None:
        while True:
            pass

    monkeypatch.setattr("tests.fuzzing.campaign.SECONDS_OF_A_CASE", 0.2)
    report = run(Target("slow", lambda rng: "given", feed), seed=0, seconds=60, most=1)
    assert report.faults == [(0, "'given'", "took more than 0.2 s")]


def test_a_refusal_is_none() -> None:
    def feed(given: float) -> None:
        if given < 0.5:
            raise Refused(ConfigurationError([f"key={given}: must be at least 0.5"]).lines)

    report = run(Target("good", lambda rng: rng.random(), feed), seed=0, seconds=60, most=100)
    assert (report.cases, report.faults) == (100, [])
    assert report.accepted + report.refusals["must be at least N"] == 100
    assert 20 < report.accepted < 80
