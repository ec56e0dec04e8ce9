"""A network with its weights, from Python: trained, or fresh as a seed draws it; what it gives for sequences."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bptt.configuration.errors import ConfigurationError
from bptt.configuration.owners import check_kernel_folder
from bptt.core.evaluation import predict
from bptt.core.models.dale import keep_signs, sign_parameters
from bptt.core.optimizers.recurrent_constraint import draw_start
from bptt.core.parameters import list_parameters, to_named
from bptt.core.run import Record, Run
from bptt.core.sequences import Floats, Sequences
from bptt.export.network import TrainedNetwork, load_network, make_network
from bptt.python.composing import compose_run
from bptt.tracking.folder.files import CONFIG, read_arrays
from bptt.tracking.history.find import PastRun, SourceError, find_past_runs

if TYPE_CHECKING:
    import pandas as pd

    from bptt.predictions.predictor import PredictingNetwork
    from bptt.tasks.own_data.preparation import Preparation

_WEIGHTS = ".npz"
_NOTHING = np.zeros((0, 0))


@dataclass(frozen=True, eq=False)
class Network:
    """A network with its weights.

    trained  the same, as it is exported
    """

    trained: TrainedNetwork

    @property
    def preparation(self) -> "Preparation | None":
        """What was done to the data's numbers before training; None: nothing."""
        return self.trained.preparation

    @classmethod
    def load(
        cls, source: str | Path, *overrides: str | Sequence[str], allow: Collection[str] = (), uri: str | None = None
    ) -> "Network":
        """The network that a run has left.

        source     as for `bptt.load`, one run: its folder, its id in the store, `SWEEP:12`, `SWEEP:best`, `latest`; or
                   a file of weights, as weights.npz of a run's folder
        overrides  what a file of weights is of, as for `bptt.train`; without any, what the run's folder says beside it
        allow      packages whose classes a record may name
        uri        of the store; None: the one that `bptt train` would use here

        Raises SourceError, ArchiveError, StoreError, ExportError and ConfigurationError, each with a line for the user.
        """
        path = Path(source)
        if path.suffix != _WEIGHTS:
            return cls._of(_find_one(str(source), uri), allow)
        if overrides:
            return cls(_take_weights(compose_run(overrides, {}).configuration.run, path))
        if not (path.parent / CONFIG).is_file():
            says = f"{path}: no {CONFIG} lies beside it; say what it is of, as in Network.load(path, 'task=adder')"
            raise SourceError(says)
        return cls(_take_weights(cls._of(_find_one(str(path.parent), uri), allow).trained.run, path))

    @classmethod
    def _of(cls, past: PastRun, allow: Collection[str]) -> "Network":
        return cls(load_network(past, allow))

    @classmethod
    def of_record(cls, run: Run, record: Record) -> "Network":
        """The network of a run that left this record. Raises ExportError for a model that is not one of bptt's own."""
        return cls(make_network(run, record))

    @classmethod
    def fresh(cls, *overrides: str | Sequence[str], config_dir: str | Path | None = None, **keys: Any) -> "Network":
        """A network as its seed draws it, not trained: `Network.fresh(model="gru", seed=3)`; as for `bptt.train`."""
        run = compose_run(overrides, keys, config_dir=config_dir).configuration.run
        check_kernel_folder()
        blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
        weights = to_named(blocks, keep_signs(draw_start(run, blocks), sign_parameters(run.model, blocks)))
        return cls.of_record(run, _make_record(weights))

    @property
    def parameters(self) -> dict[str, Floats]:
        """Name → array, as `bptt.core.layout` documents them."""
        return dict(self.trained.weights)

    @property
    def config(self) -> dict[str, Any]:
        """Cell, activation, read-out, bias, layers, and its sizes: inputs, hidden_size, outputs."""
        return self.trained.config

    def predict(self, x: Any = None, lengths: Any = None) -> Any:
        """What it says of sequences: (N, T, outputs), or (N, outputs) where only the last timestep had a target.

        Numbers in the data's own units, and of classes the labels, (N, T) or (N,), where the network knows how its data
        were prepared; else as `compute_outputs` gives them. x and lengths as there.

        x may be a table too, where the network was trained on one: with the same columns it is cut as that was, and
        what comes back is a table, a row for each answer with the table's own row, from 1, as `bptt predict` writes it.
        """
        if hasattr(x, "columns"):
            return self._predict_table(x)
        outputs = self.compute_outputs(x, lengths)
        return outputs if self.preparation is None else np.asarray(self.preparation.restore(outputs))

    def compute_outputs(self, x: Any = None, lengths: Any = None) -> Floats:
        """The numbers of the read-out, (N, T, outputs) or (N, outputs): of classes, their probabilities.

        x        (N, T, inputs), in the data's own units; or a list of N sequences (T, inputs), whose T may differ.
                 None: the sequences of its evaluation, 100 at most
        lengths  (N,) valid timesteps of each sequence, 1..T; None: all. What is behind them is ignored

        A network whose state was carried from update to update starts from the state with which training ended.
        Raises ValueError, with a line that says what is to be done, for whatever is none of that.
        """
        known = self.trained.sequences
        run = self.trained.run
        check_kernel_folder()
        if x is None:
            return predict(run, self.trained.weights, known, self.trained.state)
        array, own = self._read(x, lengths)
        if self.preparation is not None:
            array = np.ascontiguousarray(self.preparation.prepare(array))
        outputs = known.y.shape[-1]
        targets = np.zeros((len(array), outputs) if known.last_only else (*array.shape[:2], outputs))
        return predict(run, self.trained.weights, Sequences(array, targets, own), self.trained.state)

    def _predict_table(self, frame: Any) -> Any:
        from bptt.predictions.predictor import make_predictor

        if self.preparation is None or self.preparation.cutting is None:
            inputs = self.trained.sequences.x.shape[-1]
            raise ValueError(f"x: a table, and the network was trained on arrays; give (N, T, {inputs})")
        predictor = make_predictor(
            self.trained.run, _make_record(self.trained.weights, self.trained.state), "the network"
        )
        return predict_table(predictor, frame)

    def _read(self, x: Any, lengths: Any) -> tuple[Floats, NDArray[np.int64] | None]:
        inputs = self.trained.sequences.x.shape[-1]
        ragged = isinstance(x, list | tuple) and len({np.shape(one)[:1] for one in x}) > 1
        if ragged and lengths is None and all(np.ndim(one) == 2 and np.shape(one)[1] == inputs for one in x):
            own = np.array([len(one) for one in x], np.int64)
            array = np.zeros((len(x), int(own.max()), inputs))
            for place, one in enumerate(x):
                array[place, : len(one)] = one
            return _check_numbers(array), _check_lengths(own, array)
        try:
            array = np.ascontiguousarray(x, np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"x: no array of numbers; give (N, T, {inputs})") from None
        if array.ndim != 3 or array.shape[-1] != inputs or 0 in array.shape:
            raise ValueError(f"x of shape {np.shape(x)}: must be (N, T, {inputs}){_suggest_shape(array.shape, inputs)}")
        return _check_numbers(array), None if lengths is None else _check_lengths(np.asarray(lengths), array)

    def _repr_html_(self) -> str:
        from bptt.python.display import write_html_table

        sizes = {name: "×".join(map(str, array.shape)) for name, array in self.parameters.items()}
        config = {key: str(value) for key, value in self.config.items()}
        return write_html_table("network", {**config, **sizes})


def predict_table(predictor: "PredictingNetwork", frame: Any) -> "pd.DataFrame":
    """A table of what a network says of one. Raises ValueError, with one line, where that does not fit."""
    import pandas as pd

    from bptt.predictions.reading import predict_data, take_table

    return pd.DataFrame(dict(predict_data(predictor, take_table(frame, predictor)).columns))


def _find_one(source: str, uri: str | None) -> PastRun:
    """The one run that is meant. Raises SourceError where there are several."""
    from bptt.analysis.sweep import pick_best

    runs = find_past_runs(source, uri, pick_best)
    if len(runs) != 1:
        raise SourceError(f"{source}: {len(runs):,} runs; name one of them, as {source}:0 or {source}:best")
    return runs[0]


def _make_record(weights: Mapping[str, Floats], state: Floats | None = None) -> Record:
    """The record of a network that was not trained; state: see `Record.state`."""
    start = _NOTHING if state is None else state
    return Record("completed", 0, {"update": np.zeros(0, np.int64)}, _NOTHING, weights, start)


def _take_weights(run: Run, path: Path) -> TrainedNetwork:
    """A run's network with the weights of a file. Raises ConfigurationError where they are not this network's."""
    try:
        arrays = read_arrays(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError([f"{path}: can't be read: {error}"]) from None
    blocks = list_parameters(run.model, run.task.inputs, run.task.outputs)
    lines = [
        f"{path}: {block.name} has shape {arrays[block.name].shape}; this network's is {block.shape}"
        if block.name in arrays
        else f"{path}: {block.name} is missing, which this network has"
        for block in blocks
        if block.name not in arrays or arrays[block.name].shape != block.shape
    ]
    if lines:
        raise ConfigurationError(lines)
    return make_network(run, _make_record({block.name: arrays[block.name] for block in blocks}))


def _suggest_shape(shape: tuple[int, ...], inputs: int) -> str:
    if len(shape) == 2 and inputs == 1:
        return "; one input at each timestep is x[:, :, None]"
    if len(shape) == 2 and shape[-1] == inputs:
        return "; one sequence is x[None]"
    return "" if len(shape) != 3 else f"; this network has {inputs} input{'s'[: inputs != 1]}"


def _check_numbers(array: Floats) -> Floats:
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        raise ValueError(f"x[{', '.join(map(str, wrong[0]))}]: {array[tuple(wrong[0])]}, and no finite number")
    return array


def _check_lengths(lengths: NDArray[Any], array: Floats) -> NDArray[np.int64]:
    if lengths.shape != (len(array),) or not np.isin(lengths, np.arange(1, array.shape[1] + 1)).all():
        raise ValueError(f"lengths: {len(array):,} whole numbers of 1 to {array.shape[1]} are needed")
    return lengths.astype(np.int64)
