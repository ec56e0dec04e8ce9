"""What a recurrent classifier and a regressor have in common: their parameters, a fit, and a network that predicts."""

import numbers
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from bptt.configuration.build import Checker
from bptt.configuration.direct import assemble_run
from bptt.configuration.errors import ConfigurationError, write_problem
from bptt.core.run import Record, Run, Target
from bptt.core.sequences import Floats, Sequences
from bptt.core.training import train
from bptt.sklearn.inputs import read_inputs
from bptt.sklearn.network import FittedNetwork
from bptt.sklearn.preparing import hold_back, measure_scales, pick_rows
from bptt.sklearn.samples import make_samples

#: Parameters of an estimator → the keys of a configuration that they are; a None is left out, for the choice's own.
KEYS = {
    "model": "model",
    "hidden_size": "model.hidden_size",
    "layers": "model.layers",
    "activation": "model.activation",
    "optimizer": "optimizer",
    "alpha": "optimizer.alpha",
    "epsilon": "optimizer.epsilon",
    "clip": "clip",
    "threshold": "clip.threshold",
    "init": "init",
    "updates": "train.updates",
    "truncation": "train.truncation",
    "log_points": "train.log_points",
    "keep": "train.keep",
}


#: Keys of a configuration that follow from parameters, and of which.
SAID_ELSEWHERE = {
    "train.batch_size": "batch_size",
    "train.early_stop.patience": "patience",
    "seed": "random_state",
}
#: What an option may be of.
OPTIONAL = ("model", "init", "loss", "optimizer", "schedule", "regularizer", "clip", "train")


@dataclass(frozen=True, eq=False)
class Targets:
    """What y holds: targets (N, outputs) of a kind; of classes the labels too, and (N,) the number of each one's."""

    kind: Target
    y: Floats
    labels: tuple[int | str, ...] | None = None
    classes: NDArray[Any] | None = None


class RecurrentEstimator(BaseEstimator, ABC):
    """A recurrent network that reads sequences and answers at their end.

    X    (N, T): one input per timestep; (N, T, inputs); or a list of N sequences of any lengths, each (T, inputs), or
         (T,) of one input
    Choices and values are those of the command line, with its defaults, and are checked as there.

    model          elman, gru, lstm, …: the choices of `model`
    hidden_size    units of each of the `layers`
    activation     of the units, of models that have a choice; None: the model's own
    optimizer      adam, momentum, rprop, …: the choices of `optimizer`
    alpha          its learning rate; None: the optimizer's own
    epsilon        its momentum rate; None: the optimizer's own
    clip           none, value, norm: what is done to large gradients, beyond `threshold`
    init           glorot, orthogonal, …: what weights start from
    updates        steps of the optimizer
    batch_size     sequences of each, or all where there are fewer
    truncation     timesteps that a gradient flows back; None: all
    validation_fraction  the share of the sequences that is not trained on; None: none is held back
    keep           best: the network of the recorded update with the least loss on what was held back; last
    patience       recorded updates without a smaller one after which training stops; None: it does not
    log_points     how many updates are recorded
    scale          whether inputs, and targets that are numbers, are standardised, by what is trained on
    options        more keys of the configuration: `{"schedule": "cosine", "model.bias": "double"}`
    random_state   the run's seed: of the start, of the order of sequences, of what is held back

    After `fit`:
    network_       what predicts; `network_.parameters` are the weights by name, as in a run's `weights.npz`
    history_       a table, a row for each recorded update
    n_iter_        the update with which training ended
    kept_update_   the update that the network is of
    validation_    what the network comes to on what was held back: loss, accuracy, rmse, …; empty without
    preparation_   how numbers were scaled
    run_seed_      the seed that was used
    n_features_in_ columns of a table, else inputs per timestep; feature_names_in_ of a table that has names
    """

    def __init__(
        self,
        model: str = "elman",
        *,
        hidden_size: int = 16,
        layers: int = 1,
        activation: str | None = None,
        optimizer: str = "adam",
        alpha: float | None = None,
        epsilon: float | None = None,
        clip: str = "none",
        threshold: float | None = None,
        init: str = "glorot",
        updates: int = 1000,
        batch_size: int = 32,
        truncation: int | None = None,
        validation_fraction: float | None = 0.1,
        keep: Literal["best", "last"] = "best",
        patience: int | None = None,
        log_points: int = 50,
        scale: bool = True,
        options: dict[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.hidden_size = hidden_size
        self.layers = layers
        self.activation = activation
        self.optimizer = optimizer
        self.alpha = alpha
        self.epsilon = epsilon
        self.clip = clip
        self.threshold = threshold
        self.init = init
        self.updates = updates
        self.batch_size = batch_size
        self.truncation = truncation
        self.validation_fraction = validation_fraction
        self.keep = keep
        self.patience = patience
        self.log_points = log_points
        self.scale = scale
        self.options = options
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train a network on sequences X with targets y.

        Raises ValueError where X or y can't be taken, where training diverged before there was a network, and, as
        bptt.configuration.errors.ConfigurationError with a line for each, of parameters that can't be.
        """
        run = self.begin_fit(X, y)
        (record,) = train([run])
        return self.end_fit(run, record)

    def begin_fit(self, X: Any, y: Any, checker: Checker | None = None) -> Run:
        """Check everything, and give the run that `fit` trains; raises what it raises before training.

        checker  of `bptt.configuration.direct.make_checker`, where many are begun
        """
        if y is None:
            raise ValueError(f"This {type(self).__name__} requires y to be passed, but the target y is None.")
        self._check_parameters()
        targets = self._read_targets(y)  # before X, whose columns' names a check of y alone would forget
        x, lengths = read_inputs(self, X, fitting=True)
        check_consistent_length(x, targets.y)
        self.run_seed_ = self._draw_seed()
        kept, held = hold_back(len(x), self.validation_fraction, targets.classes, self.run_seed_)
        every = Sequences(x, targets.y, lengths)
        self.preparation_ = preparation = measure_scales(pick_rows(every, kept), targets.labels, self.scale)
        mean, scale = np.array(preparation.target_mean), np.array(preparation.target_scale)
        scaled = Sequences(preparation.prepare(x), (targets.y - mean) / scale, lengths)
        back = pick_rows(scaled, held) if held.size else None
        task = make_samples(targets.kind, preparation, pick_rows(scaled, kept), back)
        return assemble_run(task, self._list_given(len(kept)), checker)

    def end_fit(self, run: Run, record: Record) -> Self:
        """Take what the run of `begin_fit` left. Raises ValueError where that is no network."""
        kept, diverged = record.kept_update, record.outcome == "diverged"
        if diverged and "kept/update" not in record.once:
            says = f"training diverged at update {record.updates}: the loss was no longer a finite number"
            raise ValueError(f"{says}; a smaller alpha, clip='norm' or scale=True may help")
        if diverged:
            says = f"training diverged at update {record.updates}; the network of update {kept} is kept"
            warnings.warn(says, ConvergenceWarning, stacklevel=3)
        task: Any = run.task
        self.network_ = FittedNetwork(run.model, run.loss, task.inputs, task.outputs, dict(record.parameters))
        columns = {name: values for name, values in record.history.items() if task.validated or "/eval" not in name}
        self.history_ = pd.DataFrame(columns)
        self.n_iter_, self.kept_update_ = record.updates, kept
        self.validation_ = _list_validated(record) if task.validated else {}
        return self

    def _compute(self, X: Any) -> Floats:
        """What the network gives at the end of each sequence, (N, outputs)."""
        check_is_fitted(self)
        x, lengths = read_inputs(self, X, fitting=False)
        return self.network_.compute_outputs(self.preparation_.prepare(x), lengths)

    @abstractmethod
    def _read_targets(self, y: Any) -> Targets:
        """What is to be learned, as the network has it."""

    def _check_parameters(self) -> None:
        """Raise ValueError of those that are no key of a configuration."""
        share: Any = self.validation_fraction
        options = self.options
        if share is not None and not (isinstance(share, int | float) and 0 < share < 1):
            raise ValueError(f"validation_fraction={share!r}: must be above 0 and below 1, or None")
        if not isinstance(options, Mapping | None):
            raise ValueError(f"options={options!r}: must be a dict of keys and values, or None")
        asking = {f"keep={self.keep!r}": self.keep == "best", f"patience={self.patience}": self.patience is not None}
        asking |= {f"options={key}": str(value).endswith("/eval") for key, value in (options or {}).items()}
        if share is None and any(asking.values()):
            says = "asks for a part that is held back; give validation_fraction=0.1, or keep='last' and no patience"
            raise ValueError(f"{next(name for name in asking if asking[name])}: {says}")
        if refused := [line for key, value in (options or {}).items() if (line := _refuse_option(key, value))]:
            raise ConfigurationError(refused)

    def _draw_seed(self) -> int:
        """An int as it is; else a number that the generator draws."""
        generator = check_random_state(self.random_state)
        given = isinstance(self.random_state, numbers.Integral)
        return int(self.random_state) if given else int(generator.randint(2**31))

    def _list_given(self, count: int) -> dict[str, Any]:
        """The keys of the configuration that this estimator sets, to train on so many sequences."""
        values = {key: getattr(self, name) for name, key in KEYS.items()}
        given = {key: value for key, value in values.items() if value is not None or key == "train.truncation"}
        batch: Any = self.batch_size
        batch = min(batch, count) if isinstance(batch, numbers.Integral) else batch
        given |= {"train.batch_size": batch, "seed": self.run_seed_}
        if self.patience is not None:
            given |= {"train.early_stop.metric": "loss/eval", "train.early_stop.patience": self.patience}
        return given | dict(self.options or {})


def _refuse_option(key: Any, value: Any) -> str:
    """The line for an option that can't be, or would have no effect; empty where nothing is wrong with the key."""
    own = {of: name for name, of in KEYS.items()} | SAID_ELSEWHERE
    if key in own:
        return write_problem(key, value, f"is said by the parameter {own[key]}")
    if str(key).partition(".")[0] not in OPTIONAL:
        return write_problem(str(key), value, f"no option (those of {', '.join(OPTIONAL)} are)")
    return ""


def _list_validated(record: Record) -> dict[str, float]:
    """What was measured of the kept network on what was held back."""
    (place,) = np.flatnonzero(record.history["update"] == record.kept_update)
    known = {name: float(values[place]) for name, values in record.history.items()} | dict(record.once)
    ends = [name for name in known if name.endswith("/eval") and not name.startswith("kept/")]
    return {name.removesuffix("/eval"): known[name] for name in ends}
