"""What is recorded as rows of MLflow's tables: what its client refuses is refused, what it cuts is cut."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, Final

import numpy as np

from bptt.tracking.store.runs import RunToWrite
from bptt.tracking.store.tags import NAME_TAG

_LARGEST: Final = sys.float_info.max


# MLflow takes whatever is of these. Of the rest its own check decides, which takes seconds to import.
_PLAIN_NAME: Final = re.compile(r"\w[\w-]*(\.[\w-]+)*(/\w[\w-]*(\.[\w-]+)*)*", re.ASCII)


_LONGEST_NAME: Final = 250


_LONGEST_VALUE: Final = {"params": 6000, "tags": 8000}


_PLAIN_PLACE: Final = re.compile(r"[^?#;]+")


def check_run(run: RunToWrite) -> RunToWrite:
    """The run as MLflow's client would take it. Raises its MlflowException for a name that it refuses."""
    check_names((*run.history, *run.once))
    tags = check_values("tags", {**run.tags, NAME_TAG: run.name})
    return replace(run, tags=tags, params=check_values("params", run.params))


def check_names(metrics: Iterable[str]) -> None:
    """Raise MlflowException for a metric's name that MLflow refuses."""
    for name in metrics:
        if not _is_plain(name):
            from mlflow.utils import validation

            validation._validate_metric_name(name)  # type: ignore[no-untyped-call]


def check_values(kind: str, values: Mapping[str, str]) -> dict[str, str]:
    """Params or tags as MLflow's client would take them. Raises MlflowException for a name that it refuses."""
    longest = _LONGEST_VALUE[kind]
    if all(_is_plain(name) and len(value) <= longest for name, value in values.items()):
        return dict(values)
    from mlflow.utils import validation

    check: Any = validation
    take = check._validate_tag if kind == "tags" else check._validate_param
    taken = [take(name, value) for name, value in values.items()]
    return {one.key: one.value for one in taken}


def _is_plain(name: str) -> bool:
    return len(name) <= _LONGEST_NAME and _PLAIN_NAME.fullmatch(name) is not None


def make_rows(run_id: str, name: str, values: Sequence[float], times: Sequence[int], steps: Sequence[int]) -> list[Any]:
    """The rows of a metric's points; as MLflow has it, NaN is 0 with a mark and an infinity is the largest number."""
    missing = np.isnan(values)
    stored = np.nan_to_num(values, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST).tolist()
    return list(zip(repeat(name), stored, times, steps, missing.tolist(), repeat(run_id), strict=False))


def make_run_row(
    run_id: str, name: str, user: str, status: str, began: int, ended: int | None, artifact_uri: str, experiment_id: str
) -> tuple[Any, ...]:
    """The row of a run; times in milliseconds since 1970."""
    return (
        run_id,
        name,
        "UNKNOWN",
        "",
        "",
        user,
        status,
        began,
        ended,
        "",
        "active",
        artifact_uri,
        int(experiment_id),
    )


def make_artifact_uri(location: str, run_id: str) -> str:
    """Where a run of the experiment at `location` keeps its artifacts."""
    if _PLAIN_PLACE.fullmatch(location):
        return f"{location.rstrip('/')}/{run_id}/artifacts"
    from mlflow.utils.uri import append_to_uri_path

    return str(append_to_uri_path(location, run_id, "artifacts"))  # type: ignore[no-untyped-call]
