"""What one run is made of, and what it leaves: the arguments and the results of training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bptt.core.annotations import PER_LANE, InvalidValue, PerLane, Range
from bptt.core.inits.initialisation import Initialisation
from bptt.core.kernel import CLIP, LOSS, OPTIMIZER, REGULARIZER, SCHEDULE, SOLVER, Kernel
from bptt.core.models.cell import Activation, Bias, Cell, Readout
from bptt.core.parameters import PartName
from bptt.core.random import Generator
from bptt.core.regularizers.none import NoRegularizer
from bptt.core.schedules.constant import ConstantSchedule
from bptt.core.sequences import Floats, Sequences, Stream

# What a component must have. Frozen dataclasses that have it are components; nothing is registered. Configuration reads
# here what it asks of a class, kernels' kinds too, and refuses one that lacks something before anything is trained.


#: What a task's targets are: numbers; one of some classes, as one-hot; one of two, as 1 of the second, in each output.
Target = Literal["numbers", "classes", "two_classes"]


class Task(Protocol):
    """Where sequences come from.

    A task may have more:
    eval_lengths, at_length(length, rng)   other lengths, and a set of sequences of one, on which a run is seen when it
                                   has ended: `loss/eval_200`, `accuracy/eval_200`
    test(rng)                      a set that is looked at once, when a run ends: `loss/test`, `accuracy/test`; or None
    all_right(output, sequences)   as `accuracy`: the share of the sequences with every scored target right
    baseline(loss)                 what `loss/eval` is, on average, of the best answer that does not depend on the
                                   sequence; None where that is not known
    target                         what its targets are: decides loss and read-out where they are `auto`, and metrics of
                                   a run's end, see `bptt.core.records.fits`; None: nothing is known
    preparation                    of numbers that were scaled: has their `target_scale`, (outputs,), which one of them
                                   is in the data's own units
    find_misfits(run)              what of such a run contradicts the task, each as InvalidValue with the whole key
    naive(sequences)               where targets are numbers, the forecast that a network is to beat, of the shape of
                                   their y, as a series' last value; None: the mean of the training's targets
    """

    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def timesteps(self) -> int:
        """The longest sequence."""
        ...

    def training(self) -> Stream:
        """The training data."""
        ...

    def evaluation(self, rng: Generator) -> Sequences:
        """The set on which `loss/eval` and `accuracy/eval` are measured; rng serves tasks that draw it."""
        ...

    def accuracy(self, output: Floats, sequences: Sequences) -> Any:
        """The share that is right of output (…, N, T, outputs), or (…, N, outputs) where only the last timestep has a
        target, as an array (…); None where a task has no notion of right.

        What stands before N are networks that were evaluated on these sequences; if `sequences` has such axes too, each
        on its own.
        """
        ...


class Model(Protocol):
    """A network: its sizes, and the cell of which its layers are made."""

    @property
    def hidden_size(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def activation(self) -> Activation: ...
    @property
    def bias(self) -> Bias: ...
    @property
    def readout(self) -> Readout: ...
    @property
    def cell(self) -> Cell: ...


class Loss(Protocol):
    """What is to be small."""

    @property
    def weight(self) -> float:
        """The factor of the whole loss."""
        ...

    @property
    def fused(self) -> bool:
        """Whether the kernel writes ∂loss/∂logit; False: ∂loss/∂output."""
        ...

    @property
    def kernel(self) -> Annotated[Kernel, LOSS]: ...


class Optimizer(Protocol):
    """How a gradient changes the parameters."""

    @property
    def slots(self) -> int:
        """Numbers that it keeps for each parameter from update to update."""
        ...

    @property
    def kernel(self) -> Annotated[Kernel, OPTIMIZER, SOLVER]: ...


class Solver(Optimizer, Protocol):
    """An optimizer that asks for more than a gradient, as one whose kernel is made with @SOLVER does.

    iterations  what its kernel is told that it may make, at most
    room        vectors that its kernel has for itself, where parameters are `count` vectors
    rows        about how many numbers of each parameter these are
    find_unfit  why it can't train such a run, in words; empty where it can
    """

    @property
    def iterations(self) -> int: ...
    @property
    def rows(self) -> int: ...
    def room(self, count: int) -> int: ...
    def find_unfit(self, run: "Run") -> str: ...


class Clip(Protocol):
    """What is done to large gradients."""

    @property
    def kernel(self) -> Annotated[Kernel, CLIP]: ...


class Schedule(Protocol):
    """How the learning rate changes: update u is made with α·s(u), and the kernel gives s(u)."""

    @property
    def kernel(self) -> Annotated[Kernel, SCHEDULE] | None:
        """None: s = 1, and nothing is called."""
        ...


class Regularizer(Protocol):
    """What is added to the gradient of the loss, before it is clipped.

    It may have more:
    find_unfit(run)  why it can't be of such a run, in words; empty where it can
    metric           what is recorded of what its kernel writes at the net's `penalty`, by this name: `grad/omega`
    on_states        True of a penalty on states: its kernel is called before the backward pass, and writes the
                     penalty's derivative by each h to `layout.push_at`, with which that begins
    """

    @property
    def kernel(self) -> Annotated[Kernel, REGULARIZER] | None:
        """None: nothing is added, and nothing is called."""
        ...

    @property
    def keeps_deltas(self) -> bool:
        """Whether the kernel reads ∂loss/∂state of every timestep, which the backward pass then keeps."""
        ...

    def penalty(self, run: "Run", parameters: Mapping[str, Any], held: Mapping[str, Any], sequences: Sequences) -> Any:
        """The number whose gradient by `parameters` it adds, stated plainly: what `check-gradients` differentiates.

        held: the same parameters, for whatever the gradient takes for constant.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """Stop a run at the first recorded update at which `metric` has reached `threshold`, or `patience` has run out.

    A loss has reached it when it is not above, an accuracy when it is not below. Patience has run out at the last of so
    many recorded updates, one after the other, of which none was better than all before them; None: it never does.
    With patience an accuracy's threshold of 0, which each one has reached, is none. metric None: never.
    """

    metric: Literal["loss/train", "loss/eval", "accuracy/eval"] | None = None
    threshold: Annotated[PerLane, Range(at_least=0)] = 0.0
    patience: Annotated[int, PER_LANE, Range(at_least=1)] | None = None

    def __post_init__(self) -> None:
        if self.metric is None and self.patience is not None:
            says = "waits for a metric: give train.early_stop.metric too, as loss/eval"
            raise InvalidValue("patience", self.patience, says)

    @property
    def reached_at(self) -> float:
        """The threshold; of one that is none what no accuracy reaches."""
        given = self.metric != "accuracy/eval" or self.patience is None or self.threshold > 0
        return self.threshold if given else np.inf


#: What can be measured of a network's dynamics at recorded updates, see `bptt.dynamics.measures`.
Measured = Literal[
    "lyapunov_max",
    "lyapunov_sum",
    "kaplan_yorke",
    "singular_max",
    "singular_median",
    "singular_min",
    "singular_condition",
    "sharpness",
    "sharpness_ratio",
    "fixed_points",
    "fixed_points_stable",
    "noise_scale",
    "truncation_cosine",
    "truncation_ratio",
]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run is trained.

    updates      optimizer steps
    batch_size   sequences per update
    truncation   timesteps that each scored timestep's gradient flows back, itself included; None: all
    carry_state  whether the state an update ends with is the state the next one starts from
    only         the blocks of weights that are trained, by kind; readout and cell are all of theirs; None: all
    log_points   how many updates are recorded; the first and the last always are
    log_spacing  linear or log: how the recorded updates are spaced
    snapshots    after how many of the recorded updates the parameters are kept, and before the first one; 0: none
    snapshot_spacing  linear or log: how those are spaced
    measure      what is measured of the dynamics at each recorded update, as `dynamics/NAME`
    keep         which network a run leaves: that of its last update, or of the recorded one with the best `keep_by`
    keep_by      by which metric; of equal values the earlier
    """

    updates: Annotated[int, Range(at_least=1)]
    batch_size: Annotated[int, Range(at_least=1)] = 1
    truncation: Annotated[int, Range(at_least=1)] | None = None
    carry_state: bool = False
    log_points: Annotated[int, Range(at_least=1)] = 100
    log_spacing: Literal["linear", "log"] = "linear"
    snapshots: Annotated[int, Range(at_least=0)] = 0
    snapshot_spacing: Literal["linear", "log"] = "linear"
    early_stop: EarlyStop = EarlyStop()
    only: tuple[PartName, ...] | None = None
    measure: tuple[Measured, ...] = ()
    keep: Literal["last", "best"] = "last"
    keep_by: Literal["loss/eval", "accuracy/eval"] = "loss/eval"

    def __post_init__(self) -> None:
        if len({*self.measure}) < len(self.measure):
            raise InvalidValue("measure", [*self.measure], "must name each measure once")
        if self.only is not None and not self.only:
            raise InvalidValue("only", [], "must name what is trained, as [readout], or be null")
        if self.keep == "last" and self.keep_by != "loss/eval":
            raise InvalidValue("keep_by", self.keep_by, "has no effect with train.keep=last; give train.keep=best too")


_CONSTANT, _NONE = ConstantSchedule(), NoRegularizer()


@dataclass(frozen=True)
class Run:
    """One training of one network: components, settings and a seed."""

    task: Task
    model: Model
    init: Initialisation
    loss: Loss
    optimizer: Optimizer
    clip: Clip
    train: Settings
    seed: int
    schedule: Schedule = _CONSTANT
    regularizer: Regularizer = _NONE


def works_on_states(regularizer: Regularizer) -> bool:
    """Whether a regularizer's penalty is on states."""
    return regularizer.kernel is not None and bool(getattr(regularizer, "on_states", False))


def seed_of(run: Run, stream: int) -> np.random.SeedSequence:
    """A run's independent streams: 0 initialisation, data for 1 training, 2 evaluation and 3 test, 4 gradient noise,
    5 noise of states, 6 evaluation at other lengths.
    """
    return np.random.SeedSequence(entropy=run.seed, spawn_key=(stream,))


def find_unmeasured(run: Run, name: Measured) -> str | None:
    """Why this can't be measured of such a run, in words that follow its name; None: it can."""
    cut, steps = run.train.truncation, run.task.timesteps
    whole = cut is None or cut >= steps
    of_gradient = name.startswith(("sharpness", "noise", "truncation"))
    if of_gradient and run.regularizer.keeps_deltas:
        kind = type(run.regularizer).__name__.lower()
        return f"is of a loss's gradient, and that of regularizer={kind} is of none"
    if name.startswith("sharpness") and not whole:
        return f"is of a whole loss, whose gradient train.truncation={cut} cuts; set that to null"
    if name.startswith("truncation") and whole:
        return f"is of a gradient that is cut: by a train.truncation below {steps}, the timesteps"
    return None


#: Columns of a history that are others each time a run is trained; the rest hang on configuration and seed alone.
TIMED = frozenset({"work/seconds"})


@dataclass(frozen=True)
class Record:
    """What a run leaves.

    outcome     completed, early_stopped, or diverged (the loss was no longer finite)
    updates     the number of the last update: where the run ended
    history     (points,) per name: `update` and every metric; accuracy/eval is absent where the task has none, and so
                is accuracy/all_right
    flow        (points, timesteps): ‖∂loss/∂h‖ by lag, lag 0 first; the loss is the last scored timestep's
    parameters  name → array, as documented in `bptt.core.layout`, of the network that is kept, see `kept_update`
    state       (batch, …) the state with which its update ended, from which evaluation starts when it is carried; NaN
                of the last network of a run that diverged
    once        what there is one number of: `baseline` where the task knows it; `loss/test` and `accuracy/test` where
                it has a test set, and the run came to its end; `rmse/eval` and such (`bptt.core.records.fits`) where
                the task says what its targets are, and of its test set; all of them of the network that is kept. Where
                that is a best one `kept/update`, and what was recorded there: `kept/loss/eval`, `kept/accuracy/eval`
    snapshots   update → the parameters after it, name → array; of the start, 0, and of some recorded updates, see
                `bptt.core.records.keeping`
    """

    outcome: Literal["completed", "early_stopped", "diverged"]
    updates: int
    history: Mapping[str, NDArray[Any]]
    flow: Floats
    parameters: Mapping[str, Floats]
    state: Floats
    once: Mapping[str, float] = field(default_factory=dict)
    snapshots: Mapping[int, Mapping[str, Floats]] = field(default_factory=dict)

    @property
    def kept_update(self) -> int:
        """The update that `parameters` and `state` are of: the last one, unless the best network is kept."""
        return int(self.once.get("kept/update", self.updates))
