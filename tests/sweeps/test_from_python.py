"""`bptt.sweep` takes what is typed behind `bptt train -m`, as a list or as a text."""

from pathlib import Path

import pytest

import bptt
from bptt.configuration.errors import ConfigurationError

BARE = "tracking.enabled=false report=false hydra.launcher.workers=1"
SMALL = f"task=leftbit train.updates=20 train.log_points=2 {BARE}"


def test_a_text_is_parted_as_by_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    swept = bptt.sweep(f"{SMALL} seed=0,1 model=lstm,gru 'question=\"Why, and why so?\"'")
    assert sorted(swept.swept) == ["model", "seed"]
    rows = swept.runs[["model", "seed"]].to_numpy().tolist()
    assert sorted(rows) == [["gru", 0], ["gru", 1], ["lstm", 0], ["lstm", 1]]
    assert swept.question == "Why, and why so?"
    assert (swept.runs["status"] == "FINISHED").all()


def test_a_quote_that_is_not_closed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        bptt.sweep("seed=0,1 question='Why")
    assert caught.value.lines == ("seed=0,1 question='Why: can't be parted into overrides (no closing quotation)",)
