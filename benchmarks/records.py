"""What a sweep does beside training: evaluating networks, beside PyTorch, JAX and C++, and recording an update."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Spread, alternate, compare_rounds, find_least, summarise, time_call
from benchmarks.problem import Disagreement, Problem, build_problem
from benchmarks.sides import cpp_side, jax_side, torch_side
from benchmarks.workloads import Workload, build_adder, build_gated, build_sine
from bptt.core.evaluation import Evaluation
from bptt.core.models.gru import Gru
from bptt.core.parameters import list_parameters, to_flat
from bptt.core.random import make_generator
from bptt.core.run import Run, seed_of
from bptt.core.sequences import Floats
from bptt.core.training import Training

_SEQUENCES = 256  # that a network is evaluated on
_PLANNED = 10**9  # in the long run, as in a sweep that is worth a kernel for its shape
_UPDATES, _RECORDS = 400, 101
_AGREEMENT = 1e-9
_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """µs per sequence of evaluating networks on sets of 256; ratios are the other's time over ours."""

    name: str
    lanes: int
    target: float | None
    micros: Mapping[str, Spread]
    ratios: Mapping[str, Spread]
    variants: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """µs per run of recording an update: all metrics, and the evaluation of as many sequences."""

    name: str
    lanes: int
    sequences: int
    micros: Spread


def _list_evaluated() -> list[tuple[Workload, float | None]]:
    gru = partial(build_adder, model=build_gated(Gru, 16, "sigmoid"))
    return [
        *(
            (Workload(name="adder", run=build_adder, lanes=lanes), aim)
            for lanes, aim in ((1, None), (64, 0.1), (256, 0.1))
        ),
        (Workload(name="gru, adder", run=gru, lanes=64), None),
        (Workload(name="sine", run=build_sine, lanes=64), None),
    ]


def measure_evaluations(rounds: int, target: float, say: Callable[[str], None]) -> list[Evaluated]:
    found = []
    for workload, aim in _list_evaluated():
        say(f"evaluating: {workload.name}, lanes {workload.lanes}")
        found.append(_measure_evaluation(workload, aim, rounds, target))
    return found


def _measure_evaluation(workload: Workload, aim: float | None, rounds: int, target: float) -> Evaluated:
    """Raises Disagreement where another side's loss is not ours."""
    runs = [_with_sequences(run, _SEQUENCES) for run in workload.runs(1, 1)]
    problem = build_problem(Workload(name=workload.name, run=lambda seed, *_: runs[seed], lanes=workload.lanes), 1)
    sets = [run.task.evaluation(make_generator(seed_of(run, 2))) for run in runs]
    x, y = (np.stack([getattr(one, name) for one in sets]) for name in ("x", "y"))
    y = y[:, :, None] if sets[0].last_only else y
    problem = replace(problem, x=x.swapaxes(1, 2)[None], y=y.swapaxes(1, 2)[None])
    blocks = list_parameters(runs[0].model, runs[0].task.inputs, runs[0].task.outputs)
    thetas = np.stack(
        [to_flat(blocks, {name: of[lane] for name, of in problem.parameters.items()}) for lane in range(problem.lanes)]
    )
    batch = workload.run(0, 1, 1).train.batch_size
    evaluation = Evaluation(runs[0].model, runs[0].loss, sets, batch, _PLANNED)
    losses = evaluation.evaluate(thetas)[0] * runs[0].loss.weight
    forms = {"torch": _list_torch(problem), "jax": _list_jax(problem)}
    if (plain := cpp_side.prepare_evaluation(problem)) is not None:
        forms["cpp"] = {"adder.cpp": plain}
    calls: dict[str, Callable[[], object]] = {"ours": lambda: evaluation.evaluate(thetas)}
    variants = {}
    for side, calls_by_form in forms.items():
        for form, call in calls_by_form.items():
            worst = float(np.max(np.abs(np.ravel(call()) / losses - 1)))
            if not worst <= _AGREEMENT:
                raise Disagreement(f"{workload.name}: evaluated by {side} ({form}) differs by {worst:.1e}")
        least = find_least({form: partial(time_call, call) for form, call in calls_by_form.items()}, _TRIES)
        variants[side] = min(least, key=least.__getitem__)
        calls[side] = calls_by_form[variants[side]]
    sides = {side: partial(_time_calls, call, target) for side, call in calls.items()}
    micros = {
        side: [seconds / workload.lanes / _SEQUENCES * 1e6 for seconds in values]
        for side, values in alternate(sides, rounds).items()
    }
    return Evaluated(
        name=workload.name,
        lanes=workload.lanes,
        target=aim,
        micros={side: summarise(values) for side, values in micros.items()},
        ratios={side: compare_rounds(micros[side], micros["ours"]) for side in variants},
        variants=variants,
    )


def _with_sequences(run: Run, sequences: int) -> Run:
    """The same run evaluated on as many sequences, and trained on all at once: the others' batch is the set."""
    task: Any = run.task
    return replace(run, task=replace(task, eval_size=sequences), train=replace(run.train, batch_size=sequences))


def _time_calls(call: Callable[[], object], target: float) -> float:
    """Seconds of a call, of as many as take about `target` seconds."""
    times = max(1, round(target / time_call(call)))
    return time_call(lambda: [call() for _ in range(times)] and None) / times


def _list_torch(problem: Problem) -> dict[str, Callable[[], Floats]]:
    found: dict[str, Callable[[], Floats]] = {}
    for variant in torch_side.list_variants(problem):
        if variant.fused or variant.compiled or variant.in_turn:  # no optimizer; compiling was tried for training
            continue
        network = torch_side.Network(problem, variant)
        data = {name: of[0] for name, of in torch_side.make_tensors(problem, variant).items()}

        def evaluate(network: Any = network, data: Any = data) -> Floats:
            with torch.inference_mode():
                return network.compute_losses(data).numpy()

        found[str(variant)] = evaluate
    return found


def _list_jax(problem: Problem) -> dict[str, Callable[[], Floats]]:
    found: dict[str, Callable[[], Floats]] = {}
    # There is one way forward, with whatever gradient.
    for variant in dict.fromkeys(
        replace(variant, written=False, batched=False) for variant in jax_side.list_variants(problem)
    ):
        found[str(variant)] = jax_side.compile_evaluation(problem, variant)
    return found


def measure_records(rounds: int, say: Callable[[str], None]) -> list[Recorded]:
    """What recorded updates take longer than others: trainings with 101 and with 2 records, turn by turn."""
    found = []
    for lanes, sequences in ((1, 16), (64, 16), (64, 256)):
        say(f"recording: adder, lanes {lanes}, {sequences} sequences")

        def time_training(records: int, lanes: int = lanes, sequences: int = sequences) -> float:
            runs = [build_adder(seed, _UPDATES, records) for seed in range(lanes)]
            tasks: list[Any] = [run.task for run in runs]
            training = Training(
                [replace(run, task=replace(task, eval_size=sequences)) for run, task in zip(runs, tasks, strict=True)]
            )

            def work() -> None:
                while training.advance() is not None:
                    pass

            return time_call(work)

        time_training(3)
        times = alternate({count: partial(time_training, count) for count in (2, _RECORDS)}, rounds)
        more = [
            (many - few) / (_RECORDS - 2) / lanes * 1e6 for few, many in zip(times[2], times[_RECORDS], strict=True)
        ]
        found.append(Recorded(name="adder", lanes=lanes, sequences=sequences, micros=summarise(more)))
    return found
