"""What runs recorded, as TensorBoard's event files: a folder per run, with every metric by update and what was swept.

A scalar is a float32 there, as TensorBoard shows it; what was not recorded, as the metrics of a run that has diverged,
has no point. The wall time of a point is the share of the run's own time that its update is of its last. A run's
hyperparameters are for TensorBoard's page HPARAMS, which takes the runs of a setting, equal but for the seed, as one.
"""

# mypy: disable-error-code="import-not-found,import-untyped"

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bptt.export.network import ExportError
from bptt.tracking.folder.files import list_once
from bptt.tracking.history.base import Member

if TYPE_CHECKING:
    import pandas as pd

    from bptt.tracking.history.find import Source

_VERSION: Final = "brain.Event:2"  # of the format of event files
_HPARAMS: Final = "_hparams_/"
_SEED: Final = "seed"
_LONGEST: Final = 150  # characters of a folder's name


@dataclass(frozen=True)
class Written:
    """How many runs, and points of metrics, were written."""

    runs: int
    points: int


def find_missing_package() -> str | None:
    """What is not installed of what writes event files; None: all is there."""
    try:
        import tensorboard.summary.writer.record_writer  # noqa: F401 (whether it is there)
    except ImportError as error:
        return error.name or "tensorboard"
    return None


def write_event_files(folder: Path, source: "Source") -> Written:
    """Write the event files of all runs of a source that recorded something into a new folder.

    Raises ExportError where none did, and StoreError or ArchiveError where they can't be read.
    """
    recording = source.recording
    members = [member for member in recording.members if member.number in source.numbers]
    tables = recording.tables([member.number for member in members])
    ended = {int(row["run"]): row for row in tables.runs.to_dict("records")}
    histories = dict(iter(tables.history.groupby("run", sort=False)))
    there = [member for member in members if member.number in histories]
    if not there:
        raise ExportError(f"{source.name}: no run has recorded anything yet")
    folder.mkdir(parents=True)
    points, began = 0, recording.head.began
    for member in there:
        own = folder / _name_folder(member, recording.head.name)
        own.mkdir()
        rows = ended.get(member.number, {})
        points += _write_run(own, member, rows, histories[member.number], began)
    return Written(len(there), points)


def _name_folder(member: Member, sweep: str) -> str:
    """A name that no other run has, and every system takes."""
    return re.sub(r"[^\w.=+-]+", "-", f"{member.number:05d} {member.name or sweep}")[:_LONGEST].strip("-.")


def _write_run(
    folder: Path, member: Member, row: Mapping[str, Any], history: "pd.DataFrame", began: float | None
) -> int:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    begin, end = _find_times(row, history, began)
    points = 0
    with (folder / f"events.out.tfevents.{int(begin):010d}.bptt").open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=begin, file_version=_VERSION).SerializeToString())
        writer.write(Event(wall_time=begin, summary=_start_session(member, begin)).SerializeToString())
        last = max(int(history["update"].max()), 1)
        for update, values in _list_points(history, row):
            moment = begin + (end - begin) * update / last
            summary = _make_summary(values)
            points += len(values)
            writer.write(Event(wall_time=moment, step=update, summary=summary).SerializeToString())
        writer.write(Event(wall_time=end, summary=_end_session(row, end)).SerializeToString())
    return points


def _find_times(row: Mapping[str, Any], history: "pd.DataFrame", began: float | None) -> tuple[float, float]:
    """When a run began and ended, in seconds since 1970; of one of which that is not known, its processor time."""
    begin, end = (float(row.get(name) or math.nan) for name in ("began", "ended"))
    if math.isfinite(begin) and math.isfinite(end):
        return begin, max(begin, end)
    begin = began or 0.0
    worked = float(history["work/seconds"].max()) if "work/seconds" in history else 0.0
    return begin, begin + (worked if math.isfinite(worked) else 0.0)


def _list_points(history: "pd.DataFrame", row: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, float]]]:
    """Update → what was recorded there; what there is one number of, at the last one."""
    names = [str(name) for name in history if name not in ("run", "update")]
    updates, values = history["update"].tolist(), history[names].to_numpy(dtype=float)
    once = {name: float(row[name]) for name in list_once(row) if row[name] is not None}
    for place, update in enumerate(updates):
        found = dict(zip(names, values[place].tolist(), strict=True)) | (once if place == len(updates) - 1 else {})
        if known := {name: value for name, value in found.items() if not math.isnan(value)}:
            yield int(update), known


def _make_summary(values: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    largest = float(np.finfo(np.float32).max)
    points = {
        name: value if math.isinf(value) else min(max(value, -largest), largest) for name, value in values.items()
    }
    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in points.items()])


def _start_session(member: Member, began: float) -> Any:
    from tensorboard.plugins.hparams.plugin_data_pb2 import SessionStartInfo

    setting = " ".join(f"{key}={value}" for key, value in member.swept.items() if key != _SEED)
    start = SessionStartInfo(group_name=setting or "all", start_time_secs=began)
    for key, text in member.swept.items():
        if (number := _read_number(text)) is None:
            start.hparams[key].string_value = text
        else:
            start.hparams[key].number_value = number
    return _make_hparams("session_start_info", session_start_info=start)


def _read_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _end_session(row: Mapping[str, Any], ended: float) -> Any:
    from tensorboard.plugins.hparams.api_pb2 import Status
    from tensorboard.plugins.hparams.plugin_data_pb2 import SessionEndInfo

    status = {"FINISHED": Status.STATUS_SUCCESS, "FAILED": Status.STATUS_FAILURE}
    how = status.get(str(row.get("status")), Status.STATUS_UNKNOWN)
    return _make_hparams("session_end_info", session_end_info=SessionEndInfo(status=how, end_time_secs=ended))


def _make_hparams(tag: str, **content: Any) -> Any:
    """What the page HPARAMS reads: a summary without a value, whose metadata has the content."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams.metadata import PLUGIN_DATA_VERSION, PLUGIN_NAME
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    packed = HParamsPluginData(version=PLUGIN_DATA_VERSION, **content).SerializeToString()
    data = SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=packed)
    return Summary(value=[Summary.Value(tag=_HPARAMS + tag, metadata=SummaryMetadata(plugin_data=data))])


def check_destination(folder: Path) -> None:
    """Raise ExportError where event files can't be written into a folder of their own."""
    if folder.exists() or folder.is_symlink():
        raise ExportError(f"{folder}: is there already; name a new folder: --tensorboard DIR")
    if missing := find_missing_package():
        raise ExportError(f"--tensorboard: a package is missing ({missing}): pip install 'bptt[tensorboard]'")
