"""A network written for use outside bptt, and compared with what bptt itself computes."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from bptt.export.network import ALLOWED, ExportError, TrainedNetwork, measure_difference, run_mlflow, run_onnx

if TYPE_CHECKING:
    from collections.abc import Mapping

_ONNX: Final = "network.onnx"


def export_network(network: TrainedNetwork, folder: Path, *, onnx: bool) -> Path:
    """Write a network as an MLflow model into a new folder, in ONNX too where that is wanted; returns the folder.

    Raises ExportError.
    """
    from bptt.export.mlflow_model import load_model, save_model

    if folder.exists() or folder.is_symlink():
        raise ExportError(f"{folder}: is there already; name a new folder")
    ours = network.predict()
    files = _make_onnx(network) if onnx else {}
    apart = {name: measure_difference(ours, run_onnx(content, network)) for name, content in files.items()}
    with TemporaryDirectory() as temporary:
        made = Path(temporary) / "model"
        save_model(made, network.content(), files)
        apart["the model"] = measure_difference(ours, run_mlflow(load_model(made), network))
        for name, distance in apart.items():
            if not distance <= ALLOWED:
                raise ExportError(f"{name}: differs from what bptt computes by {distance:.1g}, more than {ALLOWED:g}")
        shutil.copytree(made, folder)
    return folder


def _make_onnx(network: TrainedNetwork) -> "Mapping[str, bytes]":
    try:
        import onnxruntime  # noqa: F401 (whether it is there)

        from bptt.export.onnx import build_onnx
    except ImportError as error:
        raise ExportError(f"onnx=True: a package is missing ({error.name}): pip install 'bptt[onnx]'") from None
    return {_ONNX: build_onnx(network).SerializeToString()}
