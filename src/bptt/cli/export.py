"""`bptt export RUN`: a trained network outside bptt, as an MLflow model and in ONNX."""

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bptt.cli.common import Parser, add_allow, add_store, explain_network, find_single_run, print_lines

if TYPE_CHECKING:
    from bptt.export.network import TrainedNetwork
    from bptt.tracking.history.find import PastRun


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What is to be made; folder None: nothing is left but what is logged; name: of the registered model."""

    folder: Path | None
    onnx: bool
    log: bool
    name: str | None
    uri: str | None


def main(argv: Sequence[str]) -> int:
    """0: it is exported, 1: what was exported doesn't give what bptt computes, 2: a wrong request."""
    parser = Parser(
        prog="bptt export",
        description="Makes an MLflow model of a run's trained network, for `mlflow models predict` and `mlflow models"
        " serve`, where numpy and mlflow are installed without bptt; its predict.py needs numpy alone. Inputs and"
        " outputs are in the data's own units; the latter are compared with bptt's own.",
    )
    parser.add_argument("run", metavar="RUN", help="a run's folder or id, SWEEP:best, SWEEP:NUMBER, or latest")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="a new folder; otherwise model-NAME")
    parser.add_argument("--onnx", action="store_true", help="write network.onnx beside it (float64)")
    parser.add_argument("--log", action="store_true", help="log it to its run; without -o no folder is written")
    parser.add_argument(
        "--register", metavar="NAME", help="log it, as the next version of this model in the store's registry"
    )
    add_store(parser, "that of `bptt train`")
    add_allow(parser)
    parser.add_argument(
        "--tensorboard",
        metavar="DIR",
        type=Path,
        help="instead of a model, what the runs recorded, as TensorBoard's event files in this new folder; RUN may be a"
        " sweep then, or several runs",
    )
    args = parser.parse_args(argv)
    if args.tensorboard is not None and (args.output or args.onnx or args.log or args.allow):
        parser.error("--tensorboard: makes no model, and goes with --store alone")

    from bptt.configuration.errors import ConfigurationError
    from bptt.export.network import ExportError, load_network
    from bptt.tracking.folder.block import ArchiveError
    from bptt.tracking.history.find import SourceError
    from bptt.tracking.store.address import StoreError

    try:
        if args.tensorboard is not None:
            return _write_event_files(args.run, args.uri, args.tensorboard)
        recorded = find_single_run(args.run, args.uri)
        log = args.log or args.register is not None
        folder = args.output if args.output or log else Path(_name_folder(recorded.name))
        wanted = _Request(folder=folder, onnx=args.onnx, log=log, name=args.register, uri=args.uri)
        _check(wanted, recorded)
        return _export(load_network(recorded, args.allow), recorded, wanted)
    except (SourceError, ArchiveError, StoreError, ExportError, ConfigurationError) as error:
        print(error, file=sys.stderr)
    except BrokenPipeError:  # of whoever read along
        raise
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
    return 2


def _write_event_files(source: str, uri: str | None, folder: Path) -> int:
    from bptt.analysis.sweep import pick_best
    from bptt.export.event_files import check_destination, write_event_files
    from bptt.tracking.history.find import find

    check_destination(folder)
    with TemporaryDirectory() as temporary:
        made = Path(temporary) / "events"
        written = write_event_files(made, find(source, uri, pick_best))
        _put(made, folder)
    runs = f"{written.runs:,} run{'s'[: written.runs != 1]}"
    print_lines([f"events   {runs}, {written.points:,} points of metrics", f"folder   {folder}"])
    print_lines([f"look     tensorboard --logdir {shlex.quote(str(folder))}"])
    return 0


def _name_folder(name: str) -> str:
    return "model-" + re.sub(r"[^\w.=+-]+", "-", name).strip("-")


def _check(wanted: _Request, recorded: "PastRun") -> None:
    """Raise ExportError for what can be known before anything is made."""
    from bptt.export.mlflow_model import check_model_name
    from bptt.export.network import ExportError
    from bptt.export.writing import check_onnx

    folder = wanted.folder
    if folder is not None and (folder.exists() or folder.is_symlink()):
        raise ExportError(f"{folder}: is there already; name a new folder: -o DIR")
    if wanted.name is not None:
        check_model_name(wanted.name)
    if wanted.log and recorded.run_id is None:
        option = "--log" if wanted.name is None else f"--register {shlex.quote(wanted.name)}"
        raise ExportError(
            f"{recorded.name}: not known to be in a store; name its run there: bptt export RUN_ID {option}"
        )
    if wanted.onnx:
        check_onnx("--onnx")


def _export(network: "TrainedNetwork", recorded: "PastRun", wanted: _Request) -> int:
    from bptt.export.mlflow_model import find_model_store, log_model, register_model
    from bptt.export.network import ALLOWED
    from bptt.export.writing import write_model

    model_id = version = None
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        written = write_model(network, folder, onnx=wanted.onnx)
        if wanted.log and recorded.run_id is not None and not written.wrong:
            uri = find_model_store(recorded, wanted.uri)
            model_id = log_model(uri, recorded.run_id, network.content(), written.files)
            if wanted.name is not None:
                version = register_model(uri, recorded.run_id, model_id, wanted.name)
        if wanted.folder is not None:
            _put(folder, wanted.folder)
    _tell(network, recorded, wanted.folder, model_id, written.apart)
    if version is not None:
        print_lines([f"version  {version} of {wanted.name}: models:/{wanted.name}/{version}"])
    for name in written.wrong:
        print(f"{name}: differs from what bptt computes by more than {ALLOWED:g}", file=sys.stderr)
    return 1 if written.wrong else 0


def _put(made: Path, folder: Path) -> None:
    """Have what was made in a new folder. Raises ExportError where another process was faster."""
    from bptt.export.network import ExportError

    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ExportError(f"{folder}: is there already; name a new folder: -o DIR") from None
    shutil.copytree(made, folder, dirs_exist_ok=True)


def _tell(
    network: "TrainedNetwork",
    recorded: "PastRun",
    folder: Path | None,
    model_id: str | None,
    apart: dict[str, float],
) -> None:
    config = network.config
    wide, layers = config["hidden_size"], config["layers"]
    output = f"(N, {config['outputs']})" if config["last_only"] else f"(N, T, {config['outputs']})"
    units = f"{wide} unit{'s'[: wide != 1]}"
    layered = f"{layers} layers of {units}" if layers > 1 else units
    cell = type(network.run.model).__name__.lower()
    said = f"run      {recorded.name}: {cell}, {layered}; (N, T, {config['inputs']}) → {output}"
    print_lines([said, *explain_network(recorded)])
    count = network.sequences.count
    of = f"{count:,} sequence{'s' if count > 1 else ''} of the evaluation"
    for name, distance in apart.items():
        print(f"outputs  of {name}: within {distance:.1g} of bptt's, in other arithmetic, on {of}")
    if model_id is not None:
        print(f"logged   models:/{model_id}, by run {recorded.run_id}")
    if folder is not None:
        model, example = shlex.quote(str(folder)), shlex.quote(str(folder / "serving_input_example.json"))
        of_table = network.preparation is not None and network.preparation.cutting is not None
        files = "data.csv -o out.csv" if of_table else "x.npy -o out.npz"
        print(f"model    {folder}\nalone    python {shlex.quote(str(folder / 'predict.py'))} {files}")
        print(f"predict  mlflow models predict -m {model} -i {example} --env-manager local")
