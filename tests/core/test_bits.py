"""The three rules of bit equality: among others or alone, interrupted or not, again and elsewhere the same bits."""

import dataclasses
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from bptt.core import lanes
from bptt.core.clips.norm import Norm
from bptt.core.inits.initialisation import Initialisation
from bptt.core.inits.normal import Normal
from bptt.core.kernel import LANES, UNITS
from bptt.core.losses.binary_cross_entropy import BinaryCrossEntropy
from bptt.core.losses.squared_error import SquaredError
from bptt.core.optimizers.momentum import Momentum
from bptt.core.optimizers.sgd import Sgd
from bptt.core.parameters import Parameter
from bptt.core.random import Generator
from bptt.core.run import TIMED, EarlyStop, Record, Run
from bptt.core.sequences import Floats, Generated, Pool, Sequences
from bptt.core.simd import WIDTH
from bptt.core.training import Training
from tests.core.comparing import assert_same_parameters, assert_same_record, finished
from tests.core.discovering import components, example, stepping_optimizers
from tests.core.making import Noise, make_model, make_run
from tests.core.pairs import every_pair

BATCHES = {"small": 3, "large": 11}
VARIANTS = ("plain", "carried", "last")


@dataclass(frozen=True, kw_only=True)
class ShortPages(Noise):
    """Noise whose pages hold 3 updates or fewer, so that they end between recorded updates."""

    batch: int

    def training(self) -> Generated:
        return Generated(self.make, 65536 // (3 * self.batch))


@dataclass(frozen=True, kw_only=True)
class SharedSet(Noise):
    """All lanes learn from and are evaluated on the same fixed sequences, some of whose timesteps do not count."""

    def _set(self, seed: int) -> Sequences:
        rng = Generator(np.random.SeedSequence(seed))
        sequences = self.make(rng, 13)
        return Sequences(sequences.x, sequences.y, sequences.lengths, rng.random((13, self.timesteps)) < 0.7)

    def training(self) -> Pool:  # type: ignore[override]
        return Pool(self._set(1), "random")

    def evaluation(self, rng: Generator) -> Sequences:
        return self._set(2)


def lanes_of(count: int, make: Callable[[int, float], Run]) -> list[Run]:
    """Runs that differ in seed and in everything that may differ from lane to lane."""
    return [make(lane * 7 % 5, 0.07 * lane) for lane in range(count)]


def varied(name: str, variant: str, batch: int) -> Callable[[int, float], Run]:
    """Lanes of a model in one of three settings, which together reach every path through the network."""
    optimizers, clips = components("optimizers"), components("clips")
    settings: dict[str, dict[str, Any]] = {
        "plain": {"task": ShortPages(batch=batch), "optimizer": "sgd", "clip": "none", "layers": 1},
        "carried": {
            "task": ShortPages(ragged=True, batch=batch),
            "optimizer": "momentum",
            "clip": "norm",
            "schedule": components("schedules")["warmup"],
            "regularizer": components("regularizers")["l2"],
            "layers": 2,
            "carry_state": True,
            "truncation": 2,
        },
        "last": {"task": SharedSet(last_only=False, ragged=True), "optimizer": "adam", "clip": "value", "layers": 1},
    }
    chosen = settings[variant]
    optimizer, clip, layers = (chosen.pop(key) for key in ("optimizer", "clip", "layers"))
    seams = {key: chosen.pop(key) for key in ("schedule", "regularizer") if key in chosen}

    def make(seed: int, stretch: float) -> Run:
        return make_run(
            model=make_model(name, layers=layers, bias="double", hidden_size=5),
            loss=BinaryCrossEntropy(weight=1.0 + stretch),
            init=Initialisation(Normal(scale=0.3 + stretch)),
            optimizer=example(optimizers[optimizer], stretch),
            clip=example(clips[clip], stretch),
            seed=seed,
            updates=8,
            log_points=4,
            batch_size=batch,
            **{key: example(component, stretch) for key, component in seams.items()},
            **chosen,
        )

    return make


def assert_lanes_are_alone(runs: list[Run]) -> list[Record]:
    """Every run has the same bits alone, in groups of several sizes, and in other orders."""
    alone = [finished([run])[0] for run in runs]
    numbers = list(range(len(runs)))
    orders = [numbers, numbers[::-1], numbers[4:] + numbers[:4], numbers[:8], numbers[5:8], numbers[9:]]
    for order in (order for order in orders if order):
        for lane, record in zip(order, finished([runs[lane] for lane in order]), strict=True):
            assert_same_record(record, alone[lane])
    return alone


@pytest.mark.parametrize(("name", "variant", "batch"), every_pair(components("models"), VARIANTS, BATCHES))
def test_a_lane_among_others_is_the_run_alone(name: str, variant: str, batch: str) -> None:
    alone = assert_lanes_are_alone(lanes_of(11, varied(name, variant, BATCHES[batch])))
    different = {record.parameters["cell.0.recurrent"].tobytes() for record in alone}
    assert len(different) == 11


@pytest.mark.parametrize(("name", "variant", "batch"), every_pair(components("models"), VARIANTS, BATCHES))
def test_what_fills_the_vectors_changes_no_bit(
    name: str, variant: str, batch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = lanes_of(WIDTH + 1, varied(name, variant, BATCHES[batch]))
    found = {}
    for mode, fewest in {LANES: 1, UNITS: WIDTH + 1}.items():
        monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch, fewest=fewest: fewest)
        assert {used for used, _ in lanes.blocks_of_lanes(runs[0].model, BATCHES[batch], len(runs))} == {mode}
        found[mode] = finished(runs)
    for of_lanes, of_units in zip(found[LANES], found[UNITS], strict=True):
        assert_same_record(of_lanes, of_units)


@pytest.mark.parametrize("hidden_size", [1, 7, 8, 12])
@pytest.mark.parametrize("name", components("models"))
def test_nor_does_it_where_units_fill_their_vectors_or_leave_room(
    name: str, hidden_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lane beside idle ones, and hidden sizes around the vectors' width."""
    run = make_run(model=make_model(name, hidden_size=hidden_size), task=Noise(ragged=True), updates=5, batch_size=2)
    alone = finished([run])[0]
    monkeypatch.setattr(lanes, "fewest_lanes", lambda model, batch: 1)
    assert_same_record(finished([run])[0], alone)


def test_nor_do_threads() -> None:
    """Trainings at the same time in threads of one process, which run compiled code side by side."""
    groups = [lanes_of(WIDTH + 2, varied(name, "carried", 3)) for name in ("elman", "gru")] * 2
    expected = [finished(runs) for runs in groups[:2]] * 2
    with ThreadPoolExecutor(len(groups)) as threads:
        for records, alone in zip(threads.map(finished, groups), expected, strict=True):
            for found, record in zip(records, alone, strict=True):
                assert_same_record(found, record)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("optimizer", stepping_optimizers())
def test_hyperparameters_of_every_optimizer_and_clip_are_each_lanes_own(optimizer: str, batch: str) -> None:
    for number, clip in enumerate(components("clips")):

        def make(seed: int, stretch: float, number: int = number, clip: str = clip) -> Run:
            return make_run(
                model=make_model(("elman", "jordan", "linear")[number % 3]),
                optimizer=example(components("optimizers")[optimizer], stretch),
                clip=example(components("clips")[clip], 4.0 * stretch),
                seed=3,  # nothing but the hyperparameters differs
                updates=5,
                log_points=2,
                batch_size=BATCHES[batch],
            )

        runs = [make(3, 0.07 * lane) for lane in range(WIDTH + 1)]
        alone = [finished([run])[0] for run in runs]
        for record, expected in zip(finished(runs[::-1])[::-1], alone, strict=True):
            assert_same_record(record, expected)
        assert len({record.parameters["cell.0.input"].tobytes() for record in alone}) == len(runs)


@dataclass(frozen=True)
class NotANumber:
    """An init that is spoilt from the start."""

    def parameters(self, seed: np.random.SeedSequence, blocks: tuple[Parameter, ...]) -> Floats:
        return np.full(sum(block.size for block in blocks), np.nan)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", components("models"))
def test_lanes_that_diverge_disturb_no_other(name: str, batch: str) -> None:
    def make(seed: int, alpha: float, **changes: Any) -> Run:
        return make_run(
            model=make_model(name, readout="identity"),
            optimizer=Momentum(alpha=alpha, epsilon=0.5),
            clip=Norm(threshold=1e300),
            seed=seed,
            updates=12,
            log_points=4,
            batch_size=BATCHES[batch],
            carry_state=True,
            **changes,
        )

    good = [make(seed, 0.01) for seed in (0, 1, 2, 4)]
    spoilt, exploding = make(0, 0.01, init=NotANumber()), make(1, 1e200)
    runs = [exploding, good[0], spoilt, good[1], good[2], make(5, 1e160), good[3]]
    found = finished(runs)
    assert [record.outcome for record in found] == [
        "diverged",
        "completed",
        "diverged",
        "completed",
        "completed",
        "diverged",
        "completed",
    ]
    for run, record in zip(runs, found, strict=True):
        assert_same_record(record, finished([run])[0])


@pytest.mark.parametrize("batch", BATCHES)
def test_lanes_that_stop_early_are_what_they_are_alone(batch: str) -> None:
    def make(threshold: float) -> Run:
        stop = EarlyStop(metric="loss/train", threshold=threshold)
        return make_run(
            optimizer=Sgd(alpha=0.05),
            updates=30,
            log_points=10,
            early_stop=stop,
            batch_size=BATCHES[batch],
            carry_state=True,
        )

    course = finished([make(0.0)])[0].history["loss/train"]
    runs = [make(threshold) for threshold in (0.0, 1e9, float(np.sort(course)[4]), float(course[-1]) - 1e-9)]
    found = finished(runs)
    assert {record.outcome for record in found} == {"completed", "early_stopped"}
    assert found[1].updates == 1
    for run, record in zip(runs, found, strict=True):
        assert_same_record(record, finished([run])[0])


@pytest.mark.parametrize("batch", BATCHES)
def test_recording_elsewhere_changes_no_weight(batch: str) -> None:
    runs = lanes_of(3, varied("gru", "carried", BATCHES[batch]))
    expected = finished(runs)
    elsewhere: list[tuple[int, Literal["linear", "log"]]] = [(1, "linear"), (2, "linear"), (8, "linear"), (3, "log")]
    for points, spacing in elsewhere:
        other = [
            dataclasses.replace(run, train=dataclasses.replace(run.train, log_points=points, log_spacing=spacing))
            for run in runs
        ]
        for record, usual in zip(finished(other), expected, strict=True):
            assert_same_parameters(record, usual)
            assert np.array_equal(record.state, usual.state)
            assert record.history["loss/train"][-1] == usual.history["loss/train"][-1]


def through_a_file(checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
    np.savez(path, **checkpoint)
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", components("models"))
def test_resumed_is_undisturbed(name: str, batch: str, tmp_path: Path) -> None:
    runs = lanes_of(WIDTH + 2, varied(name, "carried", BATCHES[batch]))
    undisturbed = finished(runs)
    training = Training(runs)
    for points in itertools.count():
        saved = through_a_file(training.checkpoint(), tmp_path / "checkpoint.npz")
        for record, expected in zip(finished(runs, saved), undisturbed, strict=True):
            assert_same_record(record, expected)
        if training.advance() is None:
            assert points == 4
            break


@pytest.mark.parametrize("optimizer", components("optimizers"))
def test_every_optimizer_resumes(optimizer: str, tmp_path: Path) -> None:
    run = make_run(optimizer=example(components("optimizers")[optimizer]), updates=9, log_points=3)
    training = Training([run])
    training.advance()
    training.advance()
    saved = through_a_file(training.checkpoint(), tmp_path / "checkpoint.npz")
    assert_same_record(finished([run], saved)[0], finished([run])[0])


def test_resumed_with_lanes_that_had_ended(tmp_path: Path) -> None:
    stop = EarlyStop(metric="loss/train", threshold=0.0)
    model = make_model("elman", readout="identity")
    run = make_run(model=model, optimizer=Sgd(alpha=0.02), updates=20, log_points=6, early_stop=stop)
    stopped = dataclasses.replace(run.train, early_stop=dataclasses.replace(stop, threshold=1e9))
    runs = [
        dataclasses.replace(run, optimizer=Sgd(alpha=1e200)),
        run,
        dataclasses.replace(run, train=stopped),
        dataclasses.replace(run, seed=4),
    ]
    undisturbed = finished(runs)
    assert [record.outcome for record in undisturbed] == ["diverged", "completed", "early_stopped", "completed"]
    for points in range(1, 7):
        training = Training(runs)
        for _ in range(points):
            training.advance()
        saved = through_a_file(training.checkpoint(), tmp_path / "checkpoint.npz")
        resumed = Training(runs, saved)
        assert resumed.update == training.update
        while (found := resumed.advance()) is not None:
            expected = training.advance()
            assert expected is not None
            told, wanted = dataclasses.asdict(found), dataclasses.asdict(expected)
            for name in TIMED:
                del told["metrics"][name], wanted["metrics"][name]
            np.testing.assert_equal(told, wanted)
        for record, expected_record in zip(resumed.records(), undisturbed, strict=True):
            assert_same_record(record, expected_record)


def test_a_checkpoint_of_other_runs_is_refused() -> None:
    training = Training([make_run()])
    training.advance()
    with pytest.raises(ValueError, match="1 lanes, this training 2"):
        Training([make_run(), make_run(seed=1)], training.checkpoint())
    with pytest.raises(ValueError, match="shape"):
        Training([make_run(model=make_model("elman", hidden_size=5))], training.checkpoint())


def some_runs(batch: str) -> list[Run]:
    return lanes_of(3, varied("elman", "carried", BATCHES[batch]))


@pytest.mark.parametrize("batch", BATCHES)
def test_same_again(batch: str) -> None:
    for record, again in zip(finished(some_runs(batch)), finished(some_runs(batch)), strict=True):
        assert_same_record(again, record)


ELSEWHERE = """
import sys
import numpy as np
from tests.core.comparing import finished
from tests.core.test_bits import some_runs
for batch in sys.argv[2:]:
    record = finished(some_runs(batch)[1:2])[0]
    np.savez(f"{sys.argv[1]}/{batch}.npz", flow=record.flow, state=record.state, **record.parameters, **record.history)
"""


def environment(**changes: str) -> dict[str, str]:
    """This process's, with its path, for another process that runs the tests' code."""
    paths = os.pathsep.join(dict.fromkeys(path or str(Path.cwd()) for path in sys.path))
    return os.environ | {"PYTHONPATH": paths} | changes


def test_same_in_another_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path), *BATCHES]
    subprocess.run(command, check=True, env=environment(), timeout=300)
    for batch in BATCHES:
        record = finished(some_runs(batch))[1]
        expected = {"flow": record.flow, "state": record.state, **record.parameters, **record.history}
        with np.load(tmp_path / f"{batch}.npz") as found:
            assert set(found.files) == set(expected)
            for name in expected.keys() - TIMED:
                np.testing.assert_array_equal(found[name], expected[name], name)


def test_losses_weigh_each_lane_for_itself() -> None:
    runs = [make_run(loss=SquaredError(weight=weight), optimizer=Sgd(alpha=0.05)) for weight in (0.5, 1.0, 1 / 13)]
    for run, record in zip(runs, finished(runs), strict=True):
        assert_same_record(record, finished([run])[0])
    first = [record.history["loss/train"][0] for record in finished(runs)]
    np.testing.assert_allclose(first, np.array([0.5, 1.0, 1 / 13]) * first[1], rtol=1e-15)
