"""`bptt predict RUN data.csv -o out.csv`: what a network says of new data, or of its evaluation and test sets."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bptt.cli.common import Parser, add_allow, add_store, explain_network, find_single_run, print_lines, refuse

if TYPE_CHECKING:
    import argparse

    from bptt.predictions.predictor import PredictingNetwork
    from bptt.predictions.sets import SetName
    from bptt.predictions.tables import Predictions
    from bptt.tracking.history.find import PastRun

_SHOWN = 5


def main(argv: Sequence[str]) -> int:
    """0: the predictions are written, or shown where no file is named; 2: a wrong request."""
    parser = Parser(
        prog="bptt predict",
        description="Predicts with a run's trained network. Columns of a table are found by their names, and scaled as"
        " they were for training; predictions are in the data's own units, or labels with their probabilities. Of a"
        " series, also what is yet to come is predicted. Where the file has what is true, that stands beside it.",
    )
    parser.add_argument("run", metavar="RUN", help="a run's folder or id, SWEEP:best, SWEEP:NUMBER, or latest")
    parser.add_argument(
        "data", metavar="DATA", nargs="?", type=Path, help=".csv or .parquet with the columns; .npz or .npy with x"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help=".csv, .parquet, .npz or .npy; otherwise some rows are shown"
    )
    parser.add_argument("--eval", action="store_true", help="predict the evaluation set, instead of DATA")
    parser.add_argument("--test", action="store_true", help="predict the test set, with --eval both")
    add_store(parser, "that of `bptt train`")
    add_allow(parser)
    args = parser.parse_args(argv)
    if (args.data is None) is not (args.eval or args.test):
        refuse("bptt predict", "name either DATA, a file, or the sets: --eval, --test")

    from bptt.configuration.errors import ConfigurationError
    from bptt.predictions.predictor import PredictionError
    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.history.find import SourceError
    from bptt.tracking.store.address import StoreError

    try:
        return _predict(args)
    except (SourceError, ArchiveError, StoreError, PredictionError, ConfigurationError) as error:
        print_lines([str(error)] if not isinstance(error, ConfigurationError) else str(error).splitlines(), sys.stderr)
    except OSError as error:
        if error.filename is None:  # as where nobody reads any more
            raise
        print_lines([f"{error.filename}: {error.strerror}"], sys.stderr)
    return 2


def _predict(args: "argparse.Namespace") -> int:
    from bptt.predictions.predictor import load_predictor
    from bptt.predictions.reading import predict_data, read_data
    from bptt.predictions.writing import check_output, write_predictions

    if args.output is not None:
        check_output(args.output, args.data)
    replaced = args.output is not None and args.output.exists()
    recorded = find_single_run(args.run, args.uri)
    if args.data is not None:
        predictor = load_predictor(recorded, args.allow)
        made = predict_data(predictor, read_data(args.data, predictor))
    else:
        wanted: list[SetName] = [name for name, meant in (("eval", args.eval), ("test", args.test)) if meant]  # type: ignore[misc]
        made = _predict_own(recorded, wanted, args.allow)
    if args.output is not None:
        write_predictions(args.output, made)
    lines = _tell(recorded, made, args.output, " (an earlier file was replaced)" if replaced else "")
    if args.data is not None and _is_of_training(args.data, predictor) and made.has_targets:
        lines.insert(1, "data     those that it was trained on, too; --test has the error on those that it never saw")
    print_lines(lines)
    return 0


def _is_of_training(path: Path, predictor: "PredictingNetwork") -> bool:
    """Whether this is the very file that the network was trained on."""
    from bptt.tracking.folder.files import hash_content

    noted = None if predictor.preparation is None else predictor.preparation.data
    return noted is not None and hash_content(path.read_bytes()).startswith(noted.digest)


def _predict_own(recorded: "PastRun", wanted: "Sequence[SetName]", allow: Sequence[str]) -> "Predictions":
    """Of a run's own sets. Raises PredictionError where it has none of them, or left no weights."""
    from bptt.predictions.building import build_run
    from bptt.predictions.predictor import PredictionError, take_record
    from bptt.predictions.sets import predict_sets

    record = take_record(recorded)
    made = predict_sets(build_run(recorded, allow), record, wanted)
    if made is None or (missing := [name for name in wanted if name not in made.sets]):
        asked = " ".join(f"--{name}" for name in (wanted if made is None else missing))
        raise PredictionError(f"{recorded.name}: {asked}: its task has no such set")
    return made


def _tell(recorded: "PastRun", made: "Predictions", output: Path | None, note: str) -> list[str]:
    import pandas as pd

    frame = pd.DataFrame(dict(made.columns))
    shown = [] if output is not None else frame.head(_SHOWN).to_string(index=False).splitlines()
    left = len(frame) - _SHOWN
    more = [f"… {left:,} rows more; -o FILE writes them all"] if output is None and left > 0 else []
    lines = [f"run      {recorded.name}", *explain_network(recorded)]
    for name in made.sets or [""]:
        part = made.of_set(name) if name else made
        lines += [_describe_errors(part, target, name) for target in part.targets if part.has_targets]
    lines = [line for line in lines if line]
    if output is not None:
        count = f"{made.count:,} prediction{'s'[: made.count != 1]}"
        columns = "" if output.suffix.lower() == ".npy" else f", {', '.join(made.columns)}"
        lines.append(f"written  {output}: {count}{columns}{note}")
    return [*lines, *shown, *more]


def _describe_errors(part: "Predictions", target: str, name: str) -> str:
    """How far predictions are from what is true, where that is known."""
    true, predicted = part.pair(target)
    known = np.array([value is not None and value == value for value in true.tolist()])
    if not known.any():
        return ""
    of = f"{known.sum():,} {f'of {name} ' if name else ''}known"
    if part.classes is not None:
        right = int((true[known] == predicted[known]).sum())
        share = f"right    {100 * right / known.sum():.1f} % ({right:,} of {of})"
        strange = sorted({*true[known].tolist()} - {*part.classes})
        if not strange:
            return share
        count = int(np.isin(true[known].astype(str), [str(label) for label in strange]).sum())
        shown = ", ".join(str(label)[:30] for label in strange[:5]) + (", …" if strange[5:] else "")
        return f"{share}; {count:,} of labels that the network does not have ({shown}) count as wrong"
    errors = predicted[known].astype(float) - true[known].astype(float)
    rmse, mae = np.sqrt(np.mean(errors**2)), np.mean(np.abs(errors))
    what = f"{target}: " if target else ""
    return f"error    {what}RMSE {rmse:.4g}, MAE {mae:.4g} ({of})"
