import io
import math

import pytest

from bptt.cli.progress import percent, progress, write_lengths, write_metrics


def test_lines_come_with_every_tenth_and_not_every_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("bptt.cli.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with progress("leftbit elman seed=0", 1000, stream=stream) as shown:
        for update in range(1, 1001):
            now[0] = update / 20
            shown.point(update, {"loss/train": 1 / update, "loss/eval": 2.0, "accuracy/eval": 0.5})
    lines = stream.getvalue().splitlines()
    assert lines[0] == "leftbit elman seed=0: 1,000 updates"
    assert lines[1] == "   10 %  update 100: loss 0.01, evaluation 2, accuracy 50.00 %; 45 s left"
    assert len(lines) == 10


def test_a_short_run_says_that_it_began() -> None:
    stream = io.StringIO()
    with progress("run", 20, done=10, stream=stream) as shown:
        for update in range(11, 21):
            shown.point(update, {"loss/train": 1.0})
    assert stream.getvalue() == "run: 20 updates, going on after update 10\n"


def test_only_all_is_100_percent() -> None:
    assert [percent(share) for share in (0, 0.5, 0.99999, 1)] == ["0.00 %", "50.00 %", "99.99 %", "100 %"]
    assert write_metrics({"loss/train": 0.123456}) == "loss 0.1235"
    diverged = {"loss/train": math.inf, "loss/eval": math.nan, "accuracy/eval": math.nan}
    assert write_metrics(diverged) == "loss inf"


def test_other_lengths_are_told_in_their_order() -> None:
    once = {"loss/test": 1.0, "loss/eval_200": 2.0, "accuracy/eval_200": 0.5, "loss/eval_30": 0.25}
    assert write_lengths(once) == ["of length 30: evaluation 0.25; of length 200: evaluation 2, accuracy 50.00 %"]
    assert write_lengths({"loss/eval": 1.0, "loss/test": 1.0}) == []
