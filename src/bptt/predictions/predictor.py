"""A trained network that predicts, from what was recorded of its run."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bptt.configuration.components import build_component
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.owners import check_kernel_folder
from bptt.core.evaluation import predict
from bptt.core.run import Loss, Model, Record, Run
from bptt.core.sequences import Floats, Sequences
from bptt.predictions.building import build_run
from bptt.predictions.sets import draw_set, find_start
from bptt.predictions.tables import Meaning
from bptt.printable import OneLineError
from bptt.tracking.history.find import PastRun

if TYPE_CHECKING:
    from bptt.tasks.own_data.preparation import Preparation


class PredictionError(OneLineError):
    """Nothing can be predicted; the message is one line for the user."""


@dataclass(frozen=True)
class _Sizes:
    """What is asked of a task where only its network is called."""

    inputs: int
    outputs: int


@dataclass(frozen=True)
class _Parts:
    """What is asked of a run where only its network is called."""

    model: Any
    loss: Any
    task: _Sizes


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictingNetwork:
    """A run's network as training left it.

    name       of the run
    model, loss  of its configuration
    inputs, outputs  sizes of the network
    last_only  whether it answers at the last timestep alone
    weights    name → array
    state      (batch, numbers) from which sequences start; None: zero
    meaning    of its outputs
    """

    name: str
    model: Any
    loss: Any
    inputs: int
    outputs: int
    last_only: bool
    weights: dict[str, Floats]
    state: Floats | None
    meaning: Meaning

    @property
    def preparation(self) -> "Preparation | None":
        """What was done to the data; None: nothing."""
        return self.meaning.preparation

    def compute(self, sequences: Sequences) -> Floats:
        """The network's own output for sequences that are prepared: (N, T, outputs), or (N, outputs)."""
        parts = _Parts(self.model, self.loss, _Sizes(self.inputs, self.outputs))
        return predict(parts, self.weights, sequences, self.state)

    def make_sequences(self, x: Floats, lengths: Any = None) -> Sequences:
        """Sequences of inputs (N, T, inputs) in the data's own units, prepared; targets are zeros."""
        prepared = x if self.preparation is None else self.preparation.prepare(x)
        shape = (len(x), self.outputs) if self.last_only else (*x.shape[:2], self.outputs)
        return Sequences(np.ascontiguousarray(prepared), np.zeros(shape), lengths)


def load_predictor(recorded: PastRun, allow: Collection[str] = ()) -> PredictingNetwork:
    """The network of a recorded run; allow: packages whose classes its configuration may name.

    Of one with a preparation the data that it was trained on are not needed. Raises PredictionError where it left no
    weights, and ConfigurationError where its configuration can't be built here.
    """
    record = take_record(recorded)
    known = recorded.preparation
    if known is None:
        return make_predictor(build_run(recorded, allow), record, recorded.name)
    config, problems = recorded.config, list[str]()
    model = build_component("model", config["model"], "bptt.core.models", Model, allow, problems)
    loss = build_component("loss", config["loss"], "bptt.core.losses", Loss, allow, problems)
    if problems:
        raise ConfigurationError(problems)
    carried = bool(config["train"].get("carry_state")) and record.state.size > 0
    return PredictingNetwork(
        name=recorded.name,
        model=model,
        loss=loss,
        inputs=len(known.input_mean),
        outputs=len(known.target_mean),
        last_only=known.each == "sequence",
        weights=_take_weights(record),
        state=record.state if carried else None,
        meaning=Meaning.prepared(known, model.readout),
    )


def take_record(recorded: PastRun) -> Record:
    """What a run recorded. Raises PredictionError where it left no weights, or none that are numbers."""
    check_kernel_folder()
    record = recorded.record
    if record is None:
        raise PredictionError(
            f"{recorded.name}: {recorded.status}, and left no weights: there is nothing to predict with"
        )
    if not all(np.isfinite(array).all() for array in record.parameters.values()):
        raise PredictionError(f"{recorded.name}: diverged, and its weights are no numbers")
    return record


def make_predictor(run: Run, record: Record, name: str) -> PredictingNetwork:
    """The network of a run that left this record."""
    evaluation = draw_set(run, "eval")
    assert evaluation is not None
    return PredictingNetwork(
        name=name,
        model=run.model,
        loss=run.loss,
        inputs=run.task.inputs,
        outputs=run.task.outputs,
        last_only=evaluation.last_only,
        weights=_take_weights(record),
        state=find_start(run, record),
        meaning=Meaning.of(run.task, run.model.readout, run.task.outputs),
    )


def _take_weights(record: Record) -> dict[str, Floats]:
    return {name: np.asarray(array, np.float64) for name, array in record.parameters.items()}
