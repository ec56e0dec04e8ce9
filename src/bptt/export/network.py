"""What is exported of a run: its network with its trained weights, and sequences on which it is tried.

What was exported is run on them too, and compared with what bptt itself computes.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bptt.configuration.owners import check_kernel_folder
from bptt.core.evaluation import predict
from bptt.core.models.elman import Elman
from bptt.core.models.gru import Gru
from bptt.core.models.jordan import Jordan
from bptt.core.models.leaky import Leaky
from bptt.core.models.linear import Linear
from bptt.core.models.lstm import Lstm
from bptt.core.random import Generator
from bptt.core.run import Record, Run
from bptt.core.sequences import Floats, Sequences
from bptt.export.mlflow_model import ModelContent
from bptt.predictions.building import build_run
from bptt.predictions.tables import split_classes
from bptt.printable import OneLineError
from bptt.tracking.history.find import PastRun

if TYPE_CHECKING:
    from bptt.tasks.own_data.preparation import Preparation

# Linear is Elman's with the identity for its activation.
_CELLS = {Linear: "elman", Elman: "elman", Leaky: "leaky", Jordan: "jordan", Gru: "gru", Lstm: "lstm"}
_EXAMPLE_NUMBERS = 2000  # of an input example: it is stored as text, to be read
_EXAMPLE_SEQUENCES = 4
_TRIED_SEQUENCES = 100
#: Relative to the larger of 1 and the output: more than rounding leaves but in networks that amplify it.
ALLOWED = 1e-9


class ExportError(OneLineError):
    """A run can't be exported; the message is one line for the user."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A run's network as training left it.

    sequences  of the run's evaluation, 100 at most
    state      (batch, numbers) from which sequences start, see `Record.state`; zeros (1, numbers) unless it is carried
    carried    whether it is: whether training carried it from update to update, and it is known
    preparation  what was done to the data before training, and is done within what is exported; None: nothing
    """

    run: Run
    weights: dict[str, Floats]
    sequences: Sequences
    state: Floats
    carried: bool
    preparation: "Preparation | None" = None

    @property
    def config(self) -> dict[str, Any]:
        """What is to be known of the network beside its weights."""
        model, task = self.run.model, self.run.task
        return {
            "cell": _CELLS[type(model)],
            "activation": model.activation,
            "readout": model.readout,
            "bias": model.bias,
            "layers": model.layers,
            "inputs": task.inputs,
            "hidden_size": model.hidden_size,
            "outputs": task.outputs,
            "last_only": self.sequences.last_only,
            "carried": self.carried,
        } | ({"leak": model.leak} if isinstance(model, Leaky) else {})

    @property
    def given(self) -> Floats:
        """(N, T, inputs): the inputs of its sequences in the data's own units, as what is exported takes them."""
        x, known = self.sequences.x, self.preparation
        return x if known is None else x * np.asarray(known.input_scale) + np.asarray(known.input_mean)

    def predict(self) -> Floats:
        """What it gives for its sequences, as bptt computes it: (N, T, outputs), or (N, outputs).

        Numbers are in the data's own units; of classes, (…, classes) as `bptt.export.predict` has them.
        """
        known, prepared = self.preparation, self.sequences
        if known is not None:  # from `given`, as what is exported has to: numbers far from 0 lose digits there
            prepared = replace(prepared, x=np.ascontiguousarray(known.prepare(self.given)))
        output = predict(self.run, self.weights, prepared, self.state)
        if known is None:
            return output
        return split_classes(output) if known.classes is not None else known.restore(output)

    def content(self) -> ModelContent:
        """The MLflow model of it. Its input example are the first sequences, cut where they are very long."""
        x, lengths, task = self.given, self.sequences.lengths, self.run.task
        symbols = getattr(task, "vocabulary", None)
        steps = min(x.shape[1], max(1, _EXAMPLE_NUMBERS // x.shape[2]))
        count = min(len(x), _EXAMPLE_SEQUENCES, max(1, _EXAMPLE_NUMBERS // (steps * x.shape[2])))
        return ModelContent(
            config=self.config,
            weights=self.weights,
            state=self.state,
            x=x[:count, :steps],
            lengths=None if lengths is None else np.minimum(lengths[:count], steps),
            metadata={"task": type(task).__name__.lower()} | ({"vocabulary": list(symbols)} if symbols else {}),
            preparation=None if self.preparation is None else _describe_preparation(self.preparation),
        )


def _describe_preparation(preparation: "Preparation") -> dict[str, Any]:
    """As plain values, without the place of the data on this machine."""
    known: dict[str, Any] = json.loads(preparation.to_json())
    if known["data"] is not None:
        del known["data"]["source"]
    return known


def load_network(recorded: PastRun, allow: Collection[str] = ()) -> TrainedNetwork:
    """What is exported of a recorded run; allow: packages whose classes its configuration may name.

    Raises ExportError where it left no weights, and ConfigurationError as `build_run` does.
    """
    record = recorded.record
    if record is None:
        raise ExportError(f"{recorded.name}: {recorded.status}, and left no weights: there is nothing to export")
    return make_network(build_run(recorded, allow), record)


def make_network(run: Run, record: Record) -> TrainedNetwork:
    """What is exported of a run that left this record.

    Raises ExportError where the model is not one of bptt's own, and ConfigurationError where the kernels could be
    another user's.
    """
    check_kernel_folder()
    if type(run.model) not in _CELLS:
        raise ExportError(f"model {type(run.model).__name__}: only bptt's own models can be exported")
    slots = run.model.cell.slots * run.model.hidden_size * run.model.layers
    # A store does not hold the state with which training ended.
    carried = run.train.carry_state and record.state.size > 0
    return TrainedNetwork(
        run=run,
        weights={name: np.asarray(array, np.float64) for name, array in record.parameters.items()},
        sequences=_take_first(_make_evaluation(run), _TRIED_SEQUENCES),
        state=record.state if carried else np.zeros((1, slots + run.task.outputs)),
        carried=carried,
        preparation=getattr(run.task, "preparation", None),
    )


def _make_evaluation(run: Run) -> Sequences:
    """The sequences on which the run was evaluated, see `bptt.core.training`."""
    seed = np.random.SeedSequence(entropy=run.seed, spawn_key=(2,))
    return run.task.evaluation(Generator(seed))


def _take_first(sequences: Sequences, count: int) -> Sequences:
    scored = sequences.scored
    return Sequences(
        sequences.x[:count],
        sequences.y[:count],
        None if sequences.lengths is None else sequences.lengths[:count],
        scored[:count] if scored is not None and scored.ndim == 2 else scored,
    )


def measure_difference(ours: Floats, theirs: Floats) -> float:
    """The largest |theirs − ours| / max(1, |ours|); ∞ where one alone is not finite, or they differ in shape."""
    if ours.shape != theirs.shape:
        return float("inf")
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        apart = np.abs(theirs - ours) / np.maximum(1.0, np.abs(ours))
    return float(np.max(np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart)), initial=0.0))


def run_mlflow(model: Any, network: TrainedNetwork) -> Floats:
    """What a loaded MLflow model gives for the network's sequences."""
    lengths = network.sequences.lengths
    params = {} if lengths is None else {"lengths": lengths.tolist()}
    return _take_numbers(model.predict(network.given, params=params))


def _take_numbers(made: Any) -> Floats:
    """The numbers of what an exported model gave; of classes their scores."""
    return np.asarray(made if not isinstance(made, dict) else next(made[name] for name in made if name != "label"))


def run_onnx(graph: bytes, network: TrainedNetwork) -> Floats:
    """What ONNX Runtime gives for the network's sequences."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    feeds = {"x": network.given, "lengths": network.sequences.full_lengths}
    return np.asarray(session.run([session.get_outputs()[0].name], feeds)[0])
