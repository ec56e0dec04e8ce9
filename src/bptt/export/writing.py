"""A network written for use outside bptt, and compared with what bptt itself computes."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bptt.export.mlflow_model import (
    check_model_name,
    find_model_store,
    load_model,
    log_model,
    register_model,
    save_model,
)
from bptt.export.network import ALLOWED, ExportError, TrainedNetwork, measure_difference, run_mlflow, run_onnx

if TYPE_CHECKING:
    from bptt.tracking.history.find import PastRun

_ONNX = "network.onnx"


@dataclass(frozen=True)
class WrittenModel:
    """What stands in a folder by now.

    files  beside the model, by name: ONNX where it was wanted
    apart  what of it → how far its outputs are from bptt's, see `measure_difference`
    """

    files: dict[str, bytes]
    apart: dict[str, float]

    @property
    def wrong(self) -> list[str]:
        """What of it does not give what bptt computes."""
        return [name for name, distance in self.apart.items() if not distance <= ALLOWED]


def check_onnx(option: str) -> None:
    """Raise ExportError, whose line begins with the option, where packages for ONNX are missing."""
    try:
        import onnx  # noqa: F401 (whether it is there)
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ExportError(f"{option}: a package is missing ({error.name}): pip install 'bptt[onnx]'") from None


def write_model(network: TrainedNetwork, folder: Path, *, onnx: bool) -> WrittenModel:
    """Write a network as an MLflow model into a new folder, in ONNX too where that is wanted, and try both."""
    ours, files, apart = network.predict(), dict[str, bytes](), dict[str, float]()
    if onnx:
        from bptt.export.onnx import build_onnx

        files[_ONNX] = build_onnx(network).SerializeToString()
        apart[_ONNX] = measure_difference(ours, run_onnx(files[_ONNX], network))
    save_model(folder, network.content(), files)
    apart["the model"] = measure_difference(ours, run_mlflow(load_model(folder), network))
    return WrittenModel(files, apart)


def export_network(network: TrainedNetwork, folder: Path, *, onnx: bool) -> Path:
    """`write_model` into a folder that is there only when all is right; returns it. Raises ExportError."""
    if folder.exists() or folder.is_symlink():
        raise ExportError(f"{folder}: is there already; name a new folder")
    if onnx:
        check_onnx("onnx=True")
    with TemporaryDirectory() as temporary:
        made = Path(temporary) / "model"
        _write_right(network, made, onnx)
        shutil.copytree(made, folder)
    return folder


def log_network(network: TrainedNetwork, recorded: "PastRun", run_id: str, *, register: str | None, onnx: bool) -> str:
    """`write_model`, logged to its run in the store that has it, once all is right; the model's address there.

    register: the registered model that it becomes a version of. Raises ExportError and StoreError.
    """
    if register is not None:
        check_model_name(register, "register=")
    if onnx:
        check_onnx("onnx=True")
    with TemporaryDirectory() as temporary:
        written = _write_right(network, Path(temporary) / "model", onnx)
    uri = find_model_store(recorded, None)
    model_id = log_model(uri, run_id, network.content(), written.files)
    if register is None:
        return f"models:/{model_id}"
    return f"models:/{register}/{register_model(uri, run_id, model_id, register)}"


def _write_right(network: TrainedNetwork, folder: Path, onnx: bool) -> WrittenModel:
    """`write_model`; raises ExportError where something does not give what bptt computes."""
    written = write_model(network, folder, onnx=onnx)
    for name in written.wrong:
        apart = written.apart[name]
        raise ExportError(f"{name}: differs from what bptt computes by {apart:.1g}, more than {ALLOWED:g}")
    return written
