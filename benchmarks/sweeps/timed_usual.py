"""The usual way, whose phases are timed: python timed_usual.py trace.json -m …"""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])  # instead of this folder

from benchmarks.sweeps.timers import (
    ARCHIVE,
    COMPOSING,
    STORE,
    TRAINING,
    Recorder,
    make_timers,
    watch_imports,
)

CHECK, JOB = "check", "job"

_MLFLOW = ("set_experiment", "start_run", "end_run", "log_params", "log_metrics", "log_artifact")
_PHASES = {
    "hydra._internal.utils:_run_hydra": COMPOSING,
    "torch.serialization:save": ARCHIVE,
} | {f"mlflow.tracking.fluent:{name}": STORE for name in _MLFLOW}


def _watch_jobs(recorder: Recorder, module: Any) -> None:
    original = module.run_job

    def run_job(*, task_function: Any, **named: Any) -> Any:
        return original(task_function=recorder.mark(recorder.time(task_function, TRAINING), JOB), **named)

    module.run_job = run_job


def _watch_check(recorder: Recorder, module: Any) -> None:
    module.Sweeper.validate_batch_is_legal = recorder.mark(module.Sweeper.validate_batch_is_legal, CHECK)


def main(words: Sequence[str]) -> None:
    trace, *arguments = words
    path, recorder = Path(trace).absolute(), Recorder()
    watch_imports(
        recorder,
        make_timers(recorder, _PHASES)
        | {
            "hydra.core.utils": lambda module: _watch_jobs(recorder, module),
            "hydra.plugins.sweeper": lambda module: _watch_check(recorder, module),
        },
    )
    script = str(Path(__file__).with_name("usual_app.py"))
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")
    recorder.write(path)


if __name__ == "__main__":
    main(sys.argv[1:])
