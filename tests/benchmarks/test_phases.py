"""Where a sweep's time goes: what the benchmark makes of what it timed. Clocks are made up."""

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.measure import Spread
from benchmarks.sweeps import figures, phases, report, timers, traced, usual
from benchmarks.sweeps.findings import GrowthPoint
from benchmarks.sweeps.phases import PHASES, Breakdown, Phase
from benchmarks.sweeps.program import Usage
from benchmarks.sweeps.rounds import Measurement
from benchmarks.sweeps.timers import Recorder, make_timers, watch_imports
from benchmarks.sweeps.usual import Sample
from bptt.analysis.style import BLUE, ORANGE


class Clock:
    """Both of a program's clocks; a thread has the processor for half of the time."""

    def __init__(self) -> None:
        self.now = 100.0

    def time(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.now / 2

    process_time = thread_time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(timers, "time", made)
    return made


def took(recorder: Recorder) -> list[tuple[Any, ...]]:
    return [(main, phase, ended - began, cpu) for main, phase, began, ended, cpu in recorder.stretches]


def usage(began: float, seconds: float) -> Usage:
    return Usage(began=began, seconds=seconds, cpu=0.0, peak_bytes=0, others=0.0)


def test_the_innermost_phase_counts(clock: Clock) -> None:
    recorder = Recorder()

    def inner() -> str:
        clock.now += 4.0
        return "kept"

    def outer() -> str:
        clock.now += 1.0
        found: str = recorder.time(inner, "inner")()
        clock.now += 2.0
        return found

    assert recorder.time(outer, "outer")() == "kept"
    assert took(recorder) == [
        (True, "rest", 0.0, 0.0),
        (True, "outer", 1.0, 0.5),
        (True, "inner", 4.0, 2.0),
        (True, "outer", 2.0, 1.0),
    ]


def test_a_phase_within_itself_is_one_stretch_even_where_it_raises(clock: Clock) -> None:
    recorder = Recorder()

    def divided(left: int) -> float:
        clock.now += 1.0
        return again(left - 1) if left else 1 / left

    again = recorder.time(divided, "inner")
    with pytest.raises(ZeroDivisionError):
        again(2)
    assert took(recorder)[1:] == [(True, "inner", 3.0, 1.5)]


def test_other_threads_have_phases_of_their_own(clock: Clock) -> None:
    recorder = Recorder()

    def wait() -> None:
        clock.now += 3.0

    thread = threading.Thread(target=recorder.time(wait, "store"))
    thread.start()
    thread.join()
    assert took(recorder) == [(False, "store", 3.0, 1.5)]


def test_a_module_is_changed_when_it_comes(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machinery: Any = sys.modules["_frozen_importlib"]
    monkeypatch.setattr(machinery, "_find_and_load", machinery._find_and_load)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "bench_first.py").write_text(
        "class A:\n    @classmethod\n    def make(cls): return cls.__name__\n\ndef f(): return 1\n"
    )
    (tmp_path / "bench_second.py").write_text("from bench_first import A, f\n")
    recorder = Recorder()
    watch_imports(recorder, make_timers(recorder, {"bench_first:f": "report", "bench_first:A.make": "archive"}))
    second = __import__("bench_second")
    assert (second.f(), second.A.make()) == (1, "A")
    seen = [phase for _, phase, _, _, _ in recorder.stretches]
    assert seen == ["rest", "imports", "rest", "report", "rest", "archive"]
    for name in ("bench_first", "bench_second"):
        del sys.modules[name]


def test_marks_are_the_times_of_calls(clock: Clock) -> None:
    recorder = Recorder()
    call = recorder.mark(lambda: None, "job")
    call()
    clock.now += 5.0
    call()
    assert recorder.marks == {"job": [100.0, 105.0]}


def test_phases_of_ours_are_the_programs_time() -> None:
    trace = {
        "stretches": [
            [True, "imports", 11.0, 13.0, 2.0],
            [True, "composing", 13.0, 14.0, 1.0],
            [True, "waiting", 14.0, 18.0, 0.5],
            [True, "archive", 18.0, 19.0, 0.5],
            [False, "store", 17.0, 21.0, 3.0],
            [True, "waiting", 19.0, 20.0, 0.0],
            [True, "rest", 20.0, 20.5, 0.5],
        ],
        "marks": {},
        "cpu_before": 0.25,
        "cpu": 8.0,
        "children": 9.0,
    }
    blocks = [
        {"worker": 2, "began": 17.0, "ended": 19.5, "cpu": [1.5, 3.5]},
        {"worker": 1, "began": 16.0, "ended": 18.0, "cpu": [1.0, 3.0]},
        {"worker": 1, "began": 18.5, "ended": 19.5, "cpu": [3.25, 4.25]},
    ]
    found = phases.break_down_ours(trace, blocks, usage(10.0, 12.0), runs=100)
    assert (found.workers, found.trained) == (2, 5.5)
    assert [(phase.name, phase.seconds, phase.beside, phase.cpu) for phase in found.phases] == [
        ("imports", 3.0, 0.0, 2.25),
        ("composing", 1.0, 0.0, 1.0),
        ("workers", 2.0, 0.0, 2.5 + 0.25),
        ("training", 2.0 + 1.0, 0.0, 5.0 + 0.25),
        ("archive", 1.0, 0.0, 0.5),
        ("store", 0.0, 4.0, 3.0),
        ("report", 0.0, 0.0, 0.0),
        ("end", 1.5, 0.0, 0.0),
        # What no phase has: 0.25 s of this process' other threads, 1.5 s of the workers between two blocks.
        ("rest", 0.5, 0.0, 0.5 + 0.25 + 1.5),
    ]
    assert found.seconds == 12.0
    assert found.cpu == 8.0 + 9.0
    assert found.accounted == 1.0 - 0.5 / 12.0


def usual_trace() -> dict[str, Any]:
    """Four jobs: 1 s of Hydra, 3 s of training, 2 s of MLflow; the first trains 5 s longer. The check takes 2 s."""
    stretches: list[list[Any]] = [[True, "imports", 1.0, 8.0, 6.0]]
    now = 8.0
    jobs = []
    for job in range(4):
        for name, seconds in (
            ("composing", 3.0 if job == 0 else 1.0),
            ("training", 8.0 if job == 0 else 3.0),
            ("store", 2.0),
        ):
            if name == "training":
                jobs.append(now)
            stretches.append([True, name, now, now + seconds, seconds / 2])
            now += seconds
    return {
        "stretches": stretches,
        "marks": {"check": [9.0], "job": jobs},
        "cpu_before": 0.5,
        "cpu": 0.5 + sum(stretch[4] for stretch in stretches),
        "children": 0.0,
    }


def test_phases_of_the_usual_way_are_scaled_like_its_time() -> None:
    trace = usual_trace()
    found = phases.break_down_usual(trace, usage(0.0, 40.0), runs=1000)
    seconds = {phase.name: phase.seconds for phase in found.phases if phase.seconds}
    assert seconds == {
        "imports": 8.0,
        "composing": 6.0 + 996 * (0.5 + 1.0),
        "training": 17.0 + 996 * 3.0,
        "store": 8.0 + 996 * 2.0,
        "end": 1.0,
    }
    each = usual.estimate_per_job(9.0, trace["marks"]["job"])
    assert found.seconds == Sample(usage=usage(0.0, 40.0), jobs=4, per_job=each).scale(1000)
    assert found.of("store").cpu == 4.0 + 996.0


def breakdown(side: str, workers: int, **seconds: float) -> Breakdown:
    made = tuple(Phase(name=name, seconds=seconds.get(name, 0.0), cpu=2 * seconds.get(name, 0.0)) for name in PHASES)
    return Breakdown(side=side, runs=1000, workers=workers, trained=1.0, phases=made)


BOTH = (
    breakdown("bptt", 2, training=20.0, store=5.0, rest=0.5),
    breakdown("the usual way", 1, training=3000.0, store=800.0),
)


def test_numbers_for_programs_are_per_run_too() -> None:
    found = BOTH[0].as_json()
    assert (found["seconds"], found["cpu"], found["training_cpu_per_core"]) == (25.5, 51.0, 20.0)
    assert found["phases"]["store"] == {
        "holds": "MLflow",
        "seconds": 5.0,
        "beside": 0.0,
        "cpu": 10.0,
        "ms_per_run": 5.0,
        "cpu_ms_per_run": 10.0,
    }


def test_the_table_of_phases_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    report.show(Measurement(phases=[BOTH[0]]), True, Console(width=120))
    shown = capsys.readouterr().out
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    assert lines[3] == ["training", "20", "", "40", "20", "40"]
    assert lines[-1] == ["together", "25.5", "", "51", "25.5", "51"]
    assert "98.0% of the time is accounted for; training takes 20 s of processor time on each of 2 cores" in " ".join(
        shown.split()
    )


@pytest.mark.parametrize("workers", [1, 2])  # one: trained in the command's own process
def test_the_figure_has_all_sides_and_ours_enlarged(workers: int) -> None:
    sides = [side.as_json() for side in BOTH]
    drawn = figures.draw_phases([side | {"workers": workers} if side["side"] == "bptt" else side for side in sides])
    left, right = drawn.axes
    assert [label.get_text() for label in left.get_xticklabels()] == ["the usual way", "bptt"]

    def heights(axes: Any, colour: str) -> list[float]:
        from matplotlib.colors import to_rgba

        return [bar.get_height() for bar in axes.patches if bar.get_facecolor() == to_rgba(colour)]

    assert heights(left, BLUE) == [3000.0, 20.0]
    assert heights(right, BLUE) == [20.0, 40.0]
    assert heights(right, ORANGE) == [5.0, 10.0]
    assert right.get_ylim()[1] < left.get_ylim()[1] / 50


def test_figures_lie_beside_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    point = GrowthPoint(runs=100, seconds=Spread(4.0, 3.0, 5.0), gigabytes=Spread(0.5, 0.5, 0.5))
    measured = Measurement(phases=[BOTH[0]], growth=[point, replace(point, runs=1000, seconds=Spread(7.0, 6.0, 8.0))])
    report.write(path, measured, False, {}, {})
    assert [drawn.name for drawn in figures.write(path)] == ["found.png", "found-growth.png"]
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("found.png", "found-growth.png"))


@pytest.mark.slow
def test_a_sweep_is_traced() -> None:
    found, whole = traced.trace_ours(16, 20)
    assert found.seconds == pytest.approx(whole.seconds)
    assert found.accounted > 0.95
    for name in ("imports", "composing", "training", "archive", "store", "report", "end"):
        assert found.of(name).seconds > 0
        assert name == "end" or found.of(name).cpu > 0


@pytest.mark.slow
def test_the_usual_way_is_traced() -> None:
    pytest.importorskip("torch")
    found, _ = traced.trace_usual(3, 20, 100)
    assert found.accounted > 0.95
    for name in ("imports", "composing", "training", "archive", "store"):
        assert found.of(name).cpu > 0
