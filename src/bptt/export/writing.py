"""A network written for use outside bptt, and compared with what bptt itself computes."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bptt.export.mlflow_model import load_model, save_model
from bptt.export.network import ALLOWED, ExportError, TrainedNetwork, measure_difference, run_mlflow, run_onnx

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
        written = write_model(network, made, onnx=onnx)
        for name in written.wrong:
            apart = written.apart[name]
            raise ExportError(f"{name}: differs from what bptt computes by {apart:.1g}, more than {ALLOWED:g}")
        shutil.copytree(made, folder)
    return folder
