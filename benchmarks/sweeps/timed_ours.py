"""`bptt …`, whose phases are timed: python timed_ours.py trace.json train -m …

blocks.jsonl beside the trace has a line per block, from the worker that trained it.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])  # instead of this folder; the workers get it too

from benchmarks.sweeps.timers import (
    ARCHIVE,
    COMPOSING,
    END,
    REPORT,
    REST,
    STORE,
    WAITING,
    WORKERS,
    Recorder,
    make_timers,
    watch_imports,
)

BLOCKS = "blocks.jsonl"

# The innermost phase counts: what the report's end writes into the store is of the store.
_PHASES = {
    "bptt.cli.hydra_app:run": COMPOSING,
    "bptt.sweeps.launch:Launch._open_workers": WORKERS,
    "bptt.sweeps.workers.pool:Workers.warm": WORKERS,
    "bptt.sweeps.session:Session.train": REST,
    "bptt.tracking.folder.sweep:SweepFolder.create": ARCHIVE,
    "bptt.tracking.folder.sweep:SweepFolder.write_block": ARCHIVE,
    "bptt.tracking.folder.sweep:SweepFolder.write_journal": ARCHIVE,
    "bptt.tracking.folder.sweep:SweepFolder.mark_stored": ARCHIVE,
    "bptt.tracking.provenance.environment:write_provenance": ARCHIVE,
    "bptt.tracking.store.opening:open_store": STORE,
    "bptt.sweeps.session:Session.wait_for_store": STORE,
    "bptt.sweeps.session:Session.begin_recording": STORE,
    "bptt.sweeps.session:Writer.put": STORE,
    "bptt.sweeps.session:Writer._write": STORE,
    "bptt.sweeps.session:Writer.finish": STORE,
    "bptt.tracking.store.logs:SweepLog.find_ids": STORE,
    "bptt.tracking.store.logs:SweepLog.close": STORE,
    "bptt.tracking.store.sweep_page:publish_view": STORE,
    "bptt.tracking.store.sweep_page:make_compare_path": STORE,
    "bptt.sweeps.finish:finish": REPORT,
    "bptt.sweeps.session:Session.stop_workers": END,
    "bptt.sweeps.launch:Launch.close": END,
    "bptt.cli.sweep:_tell": END,
}


def time_block(train: Callable[[Any], Any], path: str, task: Any) -> Any:
    """Train a block, in a worker, and note who did, when, and with how many processor seconds."""
    began, cpu = time.time(), time.process_time()
    result = train(task)
    noted = {"worker": os.getpid(), "began": began, "ended": time.time(), "cpu": [cpu, time.process_time()]}
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(noted) + "\n")
    return result


def _watch_workers(recorder: Recorder, path: Path, module: Any) -> None:
    original = module.Workers.run

    def run(self: Any, function: Any, tasks: Sequence[Any], *retried: Any) -> Generator[Any]:
        outcomes = original(self, partial(time_block, function, str(path)), tasks, *retried)
        following = recorder.time(next, WAITING)
        try:
            while (outcome := following(outcomes, None)) is not None:
                yield outcome
        finally:
            outcomes.close()

    module.Workers.run = run


def main(words: Sequence[str]) -> int:
    trace, *command = words
    path, recorder = Path(trace).absolute(), Recorder()
    changes = make_timers(recorder, _PHASES)
    change_pool = changes["bptt.sweeps.workers.pool"]

    def change(module: Any) -> None:
        change_pool(module)
        _watch_workers(recorder, path.with_name(BLOCKS), module)

    watch_imports(recorder, changes | {"bptt.sweeps.workers.pool": change})
    from bptt.cli.main import main as bptt

    code = bptt(command)
    recorder.write(path)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
