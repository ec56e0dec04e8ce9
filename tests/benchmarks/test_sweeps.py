"""What the sweeps' benchmark makes of what it measures; nothing here depends on how long anything takes."""

import json
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.measure import Spread
from benchmarks.sweeps import __main__ as command
from benchmarks.sweeps import findings, ours, report, rounds, usual
from benchmarks.sweeps.findings import Finding, Target
from benchmarks.sweeps.many import ManyRuns, write_growth
from benchmarks.sweeps.many import main as measure_many
from benchmarks.sweeps.ours import OurSweep
from benchmarks.sweeps.program import ProgramFailed, Usage, compute_others_share, measure_program, sum_memory
from benchmarks.sweeps.rounds import Measurement, Sizes
from benchmarks.sweeps.usual import Sample
from bptt.tracking.folder.block import RunResult


def usage(seconds: float, cpu: float = 0.0, peak: int = 0) -> Usage:
    return Usage(began=1000.0, seconds=seconds, cpu=cpu, peak_bytes=peak, others=0.0)


def swept(seconds: float, runs: int = 1000, peak: int = 10**9) -> OurSweep:
    took = usage(seconds, cpu=20.0, peak=peak)
    return OurSweep(usage=took, runs=runs, workers=2, training=130.0, first_block=2.5)


def result(job: int, began: float, ended: float) -> RunResult:
    return RunResult(job=job, status="FINISHED", record=None, error=None, began=began, ended=ended)


def medians(found: list[Finding]) -> dict[str, float]:
    return {finding.quantity: finding.values.median for finding in found}


def test_blocks_are_counted_once_however_many_runs_they_have() -> None:
    results = [result(0, 10.0, 13.0), result(1, 10.0, 13.0), result(2, 10.5, 12.0), result(3, 13.0, 14.0)]
    assert ours.sum_training_seconds(results) == 5.5


def test_what_is_not_training_is_shared_out_among_the_runs() -> None:
    # Two workers for 80 s are 160 s, of which 130 s trained.
    assert swept(80.0).not_training == 0.03


def test_learning_rates_times_seeds_are_the_runs_asked_for() -> None:
    assert ours.choose_rates(1000)[::19] == ["0.01", "0.2"]
    assert ours.list_adder_overrides(1000, 10_000)[-1] == "seed=range(50)"
    assert ours.list_adder_overrides(16, 5)[-2:] == ["optimizer.alpha=0.01,0.02,0.03,0.04", "seed=range(4)"]
    assert ours.list_adder_overrides(7, 5)[-2:] == ["optimizer.alpha=0.01", "seed=range(7)"]


def test_a_further_job_takes_its_check_and_the_time_to_the_next_ones_begin() -> None:
    # 2 s check four jobs; the first runs for 5 s, the next two for 1.5 s each.
    assert usual.estimate_per_job(100.0, [102.0, 107.0, 108.5, 110.0]) == 0.5 + 1.5


def test_scaling_counts_once_what_is_done_once() -> None:
    sample = Sample(usage=usage(30.0), jobs=10, per_job=2.5)
    assert sample.scale(10) == 30.0
    assert sample.scale(1000) == 30.0 + 990 * 2.5


def test_memory_that_is_shared_counts_once() -> None:
    assert sum_memory([(300, 100), (250, 90), (20, 15)]) == 200 + 160 + 5 + 100
    assert sum_memory([]) == 0


def test_others_had_what_was_busy_without_us() -> None:
    assert compute_others_share(busy=15.0, own=12.0, available=20.0) == 0.15
    assert compute_others_share(busy=11.9, own=12.0, available=20.0) == 0.0  # the two clocks don't tick together


def test_findings_of_the_adder() -> None:
    found = findings.summarise_adder([swept(80.0), swept(100.0, peak=2 * 10**9), swept(85.0)])
    assert medians(found) == {
        "1,000 runs on 2 cores, from the command to its end": 85.0,
        "runs": 1000 / 85.0,
        "training, per run": 130.0,
        "not training, per run": 40.0,
        "processor time of the main process, per run": 20.0,
        "memory at its peak": 1.0,
    }
    assert found[0].values == Spread(85.0, 80.0, 100.0)
    assert [finding.target for finding in found] == [Target(10), None, None, Target(35), None, Target(1.5)]


def test_the_usual_way_is_compared_round_by_round() -> None:
    samples = [Sample(usage=usage(48.0), jobs=10, per_job=each) for each in (4.0, 8.0)]
    found = findings.summarise_usual(samples, [swept(80.0), swept(160.0)], 1000)
    assert medians(found[:2]) == {"a run": 6.0, "1,000 runs, scaled": 48.0 + 990 * 6.0}
    assert found[2].values == Spread((50.1 + 49.8) / 2, 49.8, 50.1)
    assert found[2].target == Target(50, at_least=True)
    assert len(findings.summarise_usual(samples, [], 1000)) == 2


def test_findings_of_the_start() -> None:
    stock = [Sample(usage=usage(2.0), jobs=20, per_job=0.1)]
    assert medians(findings.summarise_start([swept(12.0)], stock)) == {
        "from the command to the first update": 2.5,
        "from the command to its end": 12.0,
        "a job of Hydra's own launcher that does nothing": 100.0,
        "1,000 of them, scaled": 100.0,
    }


def test_growth_compares_what_a_run_takes() -> None:
    sizes = ([swept(10.0), swept(20.0)], [swept(110.0, 10_000), swept(240.0, 10_000)])
    found = findings.summarise_growth(*sizes)
    assert medians(found) == {
        "1,000 runs: from the command to its end": 15.0,
        "1,000 runs: a run": 15.0,
        "1,000 runs: memory at its peak": 1.0,
        "10,000 runs: from the command to its end": 175.0,
        "10,000 runs: a run": 17.5,
        "10,000 runs: memory at its peak": 1.0,
        "a run of many ÷ a run of few": 1.15,
    }
    assert found[-1].target == Target(1.2)
    assert [(point.runs, point.seconds.lowest, point.seconds.highest) for point in findings.list_points(*sizes)] == [
        (1_000, 10.0, 20.0),
        (10_000, 110.0, 240.0),
    ]


def test_verdicts() -> None:
    assert report.write_verdict(None, 1.0, judged=True) == ""
    assert report.write_verdict(Target(35), 35.0, judged=True) == "≤ 35 ✓"
    assert report.write_verdict(Target(1.5), 1.51, judged=True) == "≤ 1.5 ✗"
    assert report.write_verdict(Target(50, at_least=True), 49.0, judged=True) == "≥ 50 ✗"
    assert report.write_verdict(Target(50, at_least=True), 5.0, judged=False) == "≥ 50"


def test_sizes_are_those_of_the_targets_unless_others_are_asked_for() -> None:
    full = rounds.choose_sizes(None, None, quick=False)
    assert (full.runs, full.updates, full.sample, full.full) == (1000, 10_000, 10, True)
    quick = rounds.choose_sizes(60, None, quick=True)
    assert (quick.runs, quick.updates, quick.sample, quick.adder_rounds, quick.full) == (60, 300, 3, 1, False)
    assert rounds.choose_sizes(None, 3, quick=False).full


@pytest.mark.parametrize("words", [["--only", "nothing"], ["--sample", "2"], ["--runs", "0"]])
def test_a_wrong_request_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == 2
    assert f"argument {words[0]}: invalid" in capsys.readouterr().err


def test_without_torch_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted: set[str] = set()

    def measure(names: set[str], *_: object) -> Measurement:
        wanted.update(names)
        finding = Finding(measure="start", quantity="a", unit="s", values=Spread(1.23456, 1.0, 2.0), target=Target(1.2))
        return Measurement(findings=[finding], usages=[usage(1.0)])

    monkeypatch.setattr(usual, "has_torch", lambda: False)
    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    path = tmp_path / "new" / "found.json"
    assert command.main(["--out", str(path)]) == 0
    assert wanted == {"adder", "phases", "start", "growth"}
    printed = capsys.readouterr()
    assert printed.err.startswith("the usual way is left out: torch is not installed here")
    assert "1.23 (1–2)" in printed.out
    found = json.loads(path.read_text())
    assert found["findings"] == [
        {
            "measure": "start",
            "quantity": "a",
            "unit": "s",
            "values": {"median": 1.235, "lowest": 1.0, "highest": 2.0},
            "target": {"bound": 1.2, "at_least": False},
            "reached": False,
        }
    ]
    assert found["phases"] == []
    assert found["method"] == vars(Sizes())
    assert found["machine"]["cores"] == os.cpu_count()


def test_the_table_says_when_the_machine_was_not_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    quiet, noisy = (Usage(began=0.0, seconds=1.0, cpu=0.0, peak_bytes=0, others=share) for share in (0.02, 0.25))
    found = Measurement(findings=findings.summarise_adder([swept(80.0)]), usages=[quiet])
    report.show(found, True, Console(width=120))
    assert "Not quiet" not in capsys.readouterr().out
    found.usages.append(noisy)
    report.show(found, True, Console(width=120))
    assert "Not quiet: other programs took up to 25% of the cores." in capsys.readouterr().out


def test_a_program_is_watched_to_its_end(tmp_path: Path) -> None:
    program = "import time; held = bytearray(10**8); sum(range(10**7)); time.sleep(0.5)"
    took = measure_program([sys.executable, "-c", program], tmp_path)
    assert took.peak_bytes > 10**8
    assert 0 < took.cpu <= took.seconds


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match=r"(?s)ended with 3:\n.*no such thing"):
        measure_program([sys.executable, "-c", "import sys; print('no such thing'); sys.exit(3)"], tmp_path)


@pytest.mark.slow
def test_a_sweep_is_measured() -> None:
    found = ours.run_sweep(ours.list_adder_overrides(16, 20), 16)
    assert found.runs == 16
    assert 0 < found.first_block < found.seconds
    assert 0 < found.training < found.seconds * found.workers
    assert found.usage.peak_bytes > 10**8


def test_a_hydra_app_is_sampled() -> None:
    found = usual.run_trivial(4)
    assert found.jobs == 4
    assert 0 < found.per_job < found.usage.seconds


def test_the_usual_way_trains_what_we_train() -> None:
    pytest.importorskip("torch")
    assert usual.measure_difference() < 1e-12


def test_many_runs_are_measured_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [
        ManyRuns(
            runs=runs, detail="last", report=False, seconds=5 + runs / 500, processor=8 + runs / 250,
            resident=300_000_000 + 10_000 * runs, disk=20_000 * runs, load=1.5,
        )
        for runs in (1000, 10_000)
    ]  # fmt: skip
    first, second = write_growth(many).splitlines()[1:]
    assert first.split() == ["1,000", "7.0", "7.00", "12.00", "310", "20", "1.5"]
    assert second.split() == ["10,000", "25.0", "2.00", "4.00", "400", "10.0", "200", "1.5"]
    measured = iter(many)
    monkeypatch.setattr("benchmarks.sweeps.many.measure", lambda runs, detail, report: next(measured))
    assert measure_many(["--runs", "10000", "1000", "--out", str(tmp_path / "many.json")]) == 0
    written = json.loads((tmp_path / "many.json").read_text(encoding="utf-8"))
    assert [one["runs"] for one in written["sweeps"]] == [1000, 10_000]
