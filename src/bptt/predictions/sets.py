"""What a trained network says of the sequences on which it was evaluated and tested, beside what is true."""

from collections.abc import Sequence
from typing import Final, Literal

from bptt.core.evaluation import predict
from bptt.core.random import Generator
from bptt.core.run import Record, Run, seed_of
from bptt.core.sequences import Floats, Sequences
from bptt.predictions.tables import Meaning, Predictions, join_sets, tabulate_predictions

SetName = Literal["eval", "test"]

#: The sets, in the order in which they stand.
SETS: Final[tuple[SetName, ...]] = ("eval", "test")

#: The streams of `bptt.core.run.seed_of` that draw them.
_STREAMS: Final = {"eval": 2, "test": 3}


def draw_set(run: Run, name: SetName) -> Sequences | None:
    """The evaluation's sequences, or those of the test; None: the task has no test set."""
    rng = Generator(seed_of(run, _STREAMS[name]))
    if name == "eval":
        return run.task.evaluation(rng)
    test = getattr(run.task, "test", None)
    found: Sequences | None = None if test is None else test(rng)
    return found


def predict_sets(run: Run, record: Record, wanted: Sequence[SetName] = SETS) -> Predictions | None:
    """What a run's network says of its evaluation and test sets; None: it has none of those that are wanted.

    It starts from the state with which training ended, where that was carried, as the evaluation did.
    """
    meaning = Meaning.of(run.task, run.model.readout, run.task.outputs)
    parts = []
    for name in wanted:
        sequences = draw_set(run, name)
        if sequences is not None:
            output = predict(run, record.parameters, sequences, find_start(run, record))
            rows = getattr(sequences, "rows", None)  # of sequences out of a table
            own = None if rows is None else rows + 1
            parts.append((name, tabulate_predictions(output, sequences, meaning, with_targets=True, rows=own)))
    return join_sets(parts) if parts else None


def find_start(run: Run, record: Record) -> Floats | None:
    """The state from which sequences start; None: zero. A store does not hold the one with which training ended."""
    return record.state if run.train.carry_state and record.state.size > 0 else None
