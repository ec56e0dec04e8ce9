"""A run, from Python: what it recorded as tables, its network, its figures, and where it is kept."""

from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from numpy.typing import NDArray

from bptt.core.run import Record, Run
from bptt.printable import OneLineError
from bptt.python.network import Network, predict_table
from bptt.tracking.folder.files import list_flow_columns, list_history_columns
from bptt.tracking.history.find import PastRun
from bptt.tracking.store.address import recall_uri
from bptt.tracking.store.opening import find_store
from bptt.tracking.store.pages import find_page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_METRICS: Final = ("loss/train", "loss/eval", "accuracy/eval", "loss/test", "accuracy/test", "baseline")
#: What `TrainedRun.plot` draws.
Plot = Literal["loss", "gradient_flow"]


class TrainedRun:
    """What a run has left: of `bptt.train`, or read back by `bptt.load(…).run(…)`.

    Two runs of the same configuration and seed have the same numbers, to the bit.
    """

    def __init__(
        self,
        past: PastRun,
        *,
        run: Run | None = None,
        record: Record | None = None,
        page: str | None = None,
        kept: object = None,
        allow: Collection[str] = (),
    ) -> None:
        """past: as it is read back.

        run, record  the same in memory, where it was trained here; None: read when they are asked for
        page         its page among MLflow's, where that is known
        kept         what keeps its folder there as long as this object is
        allow        packages whose classes its configuration may name
        """
        self.past, self._run, self._known, self._page, self.kept = past, run, record, page, kept
        self.allow = (*allow, *past.config.get("allow", ())) if run is not None else tuple(allow)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.past.name

    @property
    def folder(self) -> Path | None:
        """Where its files are, or its sweep's; None: read from a store. A temporary one goes with this object."""
        return self.past.recording.head.folder

    @property
    def run_id(self) -> str | None:
        """Its id in the store; None: it is in none."""
        return self.past.run_id

    @property
    def status(self) -> str:
        """FINISHED, FAILED, KILLED (it was interrupted), RUNNING."""
        return self.past.status

    @property
    def outcome(self) -> str | None:
        """completed, early_stopped, diverged; None: it has not ended, or FAILED."""
        return self.past.outcome

    @property
    def config(self) -> dict[str, Any]:
        """The whole resolved configuration."""
        return self.past.config

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal characters that two runs share exactly when they give the same bits."""
        return self.past.digest

    @cached_property
    def record(self) -> Record:
        """All that was recorded, as `bptt.core` has it. Raises ValueError where it is nothing."""
        record = self.past.record if self._known is None else self._known
        if record is None:
            raise ValueError(f"{self.name}: {self.status}, and recorded nothing")
        return record

    @cached_property
    def history(self) -> "pd.DataFrame":
        """A row per recorded update: update, and every metric."""
        import pandas as pd

        return pd.DataFrame(dict(list_history_columns(self.record)))

    @cached_property
    def gradient_flow(self) -> "pd.DataFrame":
        """A row per recorded update and lag: update, lag, norm, that of ∂loss/∂h so many timesteps before the end."""
        import pandas as pd

        return pd.DataFrame(dict(list_flow_columns(self.record)))

    @property
    def metrics(self) -> dict[str, float]:
        """What was recorded last of every metric, and what there is one number of, as loss/test."""
        history = self.record.history
        return {name: float(values[-1]) for name, values in history.items()} | dict(self.record.once)

    @property
    def parameters(self) -> dict[str, NDArray[Any]]:
        """Name → array, as `bptt.core.layout` documents them."""
        return dict(self.record.parameters)

    @cached_property
    def network(self) -> Network:
        """Its network. Raises ExportError for a model of one's own."""
        if self._run is not None:
            return Network.of_record(self._run, self.record)
        return Network._of(self.past, self.allow)

    def predict(self, x: Any = None, lengths: Any = None) -> Any:
        """What its network says of sequences (N, T, inputs), or of a table, see `Network.predict`; None: of its
        evaluation's. Of a table the data that it was trained on are not needed.
        """
        if hasattr(x, "columns") and self._run is None and self.past.preparation is not None:
            from bptt.predictions.predictor import load_predictor

            return predict_table(load_predictor(self.past, self.allow), x)
        return self.network.predict(x, lengths)

    @cached_property
    def predictions(self) -> "pd.DataFrame":
        """A row for each answer to its evaluation and test sets, with what is true: set, sequence, target, prediction.

        Numbers are in the data's own units; of classes there are labels, and a column with the probability of each.
        """
        import pandas as pd

        from bptt.predictions.sets import predict_sets

        made = predict_sets(self.network.trained.run, self.record)
        return pd.DataFrame({} if made is None else dict(made.columns))

    def plot(self, what: Plot = "loss") -> "Figure":
        """A figure: `loss`, that and accuracy against updates; or `gradient_flow`, how far back gradients reach."""
        from bptt.analysis.figures import draw_gradient_flow, draw_loss_curve
        from bptt.python.display import make_shown

        if what == "gradient_flow":
            return make_shown(draw_gradient_flow(list_flow_columns(self.record), self.name))
        if what != "loss":
            raise ValueError(f"{what}: no such figure of a run; there are loss and gradient_flow")
        once = self.record.once.get("baseline")
        return make_shown(draw_loss_curve(list_history_columns(self.record), self.name, once))

    def export(self, folder: str | Path, *, onnx: bool = False) -> Path:
        """Write its network as an MLflow model into a new folder, which is returned, as `bptt export` does.

        onnx  whether network.onnx is written beside it

        Raises ExportError where the folder is there already, a package is missing, or what was written does not give
        what bptt computes.
        """
        from bptt.export.writing import export_network

        return export_network(self.network.trained, Path(folder), onnx=onnx)

    def log_model(self, register: str | None = None, *, onnx: bool = False) -> str:
        """Log its network as an MLflow model to its run in the store, as `bptt export --log` does; its address there.

        register  the registered model that this becomes the next version of; None: of none
        onnx      whether network.onnx is logged beside it

        Raises ExportError where it is in no store, a package is missing, or what was written does not give what bptt
        computes; StoreError where the store has no registry, or refuses.
        """
        from bptt.export.network import ExportError
        from bptt.export.writing import log_network

        if self.run_id is None:
            raise ExportError(f"{self.name}: not known to be in a store")
        return log_network(self.network.trained, self.past, self.run_id, register=register, onnx=onnx)

    @property
    def url(self) -> str | None:
        """Its page among MLflow's, of a store that is no server as `bptt ui` shows it; None: it is in no store."""
        if self._page is None and self.run_id is not None:
            head = self.past.recording.head
            uri = recall_uri(head.uri, None, self.name) if head.folder is not None else None
            self._page = find_page(find_store(uri, head.current_folder), self.run_id)
        return self._page

    def __repr__(self) -> str:
        return f"<run {self.name}: {self._describe()}>"

    def _describe(self) -> str:
        how = {"KILLED": "interrupted", "FAILED": "failed"}.get(self.status, (self.outcome or self.status).lower())
        return how.replace("_", " ")

    def _repr_html_(self) -> str:
        from bptt.python.display import write_html_table

        rows = {"outcome": self._describe()}
        try:
            metrics, once = self.metrics, self.record.once
        except ValueError:
            pass
        else:
            rows["updates"] = f"{metrics['update']:,.0f}"
            named = dict.fromkeys([*(name for name in _METRICS if name in metrics), *once])
            rows |= {name: f"{metrics[name]:.6g}" for name in named}
        if self._run is not None:
            rows["data"] = "; ".join(getattr(self._run.task, "remarks", ()))
        rows |= {"folder": "" if self.folder is None else str(self.folder), "run": self.run_id or ""}
        links = {"run": self._page} if self._page is not None else {}
        return write_html_table(self.name, rows, links)


class RunFailedError(OneLineError):
    """A run raised. `run` has what it recorded until then; the traceback is in its folder and its store.

    error  the traceback
    """

    def __init__(self, run: TrainedRun, error: str) -> None:
        last = error.strip().splitlines()[-1] if error.strip() else "no reason is known"
        super().__init__(f"{run.name}: failed: {last}")
        self.run, self.error = run, error
