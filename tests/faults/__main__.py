"""`make faults`: disturbs real sweeps at random moments, and proves each time that nothing came of it.

python -m tests.faults [--kills 100] [--seed 0] [--only WORD …] [--write]
"""

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from rich.live import Live
from rich.table import Table

from bptt.tracking.provenance.environment import describe_environment
from bptt.tracking.store.connecting import set_environment
from tests.faults import page
from tests.faults.contents import Contents
from tests.faults.full_disks import AVAILABLE
from tests.faults.outcomes import COLUMNS, Tally, as_markdown
from tests.faults.programs import end_all
from tests.faults.scenarios import FAULTS, Fault
from tests.faults.sweep import undisturbed
from tests.faults.trial import Trial

_MOST_TRIALS_WITHOUT_A_BLOW = 5


def main() -> int:
    """0: every trial was survived, 1: one was not, 2: there is no such fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__, allow_abbrev=False)
    parser.add_argument("--kills", type=int, default=100, help="how many processes are to be ended")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument(
        "--only", metavar="WORD", action="append", help="only the faults with this in their names; repeatable"
    )
    parser.add_argument("--write", action="store_true", help="write the table into docs/trust")
    args = parser.parse_args()
    possible = [fault for fault in FAULTS if fault.available and (AVAILABLE or not fault.needs_root)]
    chosen = [fault for fault in possible if any(word in fault.name for word in args.only or ("",))]
    for word in args.only or ():
        if not any(word in fault.name for fault in possible):
            print(
                f"--only {word}: no such fault (faults: {', '.join(fault.name for fault in possible)})", file=sys.stderr
            )
            return 2
    set_environment()
    began = time.monotonic()
    tallies = {fault.name: Tally(fault.name) for fault in chosen}
    with tempfile.TemporaryDirectory(prefix="bptt-faults-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        (folder / "undisturbed").mkdir()
        reference = undisturbed(folder / "undisturbed")
        about = _about(args, 0)
        with Live(_shown(tallies.values()), refresh_per_second=1) as live:
            for number, fault in enumerate(_schedule(chosen, tallies, args.kills)):
                _try(fault, tallies[fault.name], folder / f"{number}", [args.seed, number], reference)
                live.update(_shown(tallies.values()))
                about = _about(args, time.monotonic() - began)
                if not live.console.is_terminal:
                    print(f"{about['minutes']:3} min  {' | '.join(tallies[fault.name].row)}", flush=True)
                if args.write:
                    page.write([*tallies.values()], about)
    print(as_markdown([*tallies.values()], about))
    problems = [f"{tally.fault}: {problem}" for tally in tallies.values() for problem in tally.problems]
    print("\n".join(problems), file=sys.stderr)
    return int(bool(problems))


def _schedule(faults: Sequence[Fault], tallies: dict[str, Tally], kills: int) -> Iterator[Fault]:
    """The faults in turn, until each has come as often as it is to, and all together have ended so many processes."""
    idle = dict.fromkeys(tallies, 0)
    share = kills / max(1, sum(fault.kills for fault in faults))
    while True:
        due = [
            fault
            for fault in faults
            if idle[fault.name] < _MOST_TRIALS_WITHOUT_A_BLOW
            and (tallies[fault.name].kills < fault.kills * share or tallies[fault.name].trials < fault.trials)
        ]
        if not due:
            return
        for fault in due:
            before = tallies[fault.name].trials
            yield fault
            idle[fault.name] += tallies[fault.name].trials == before


def _try(fault: Fault, tally: Tally, folder: Path, seed: list[int], reference: Contents) -> None:
    folder.mkdir()
    trial = Trial(folder, np.random.Generator(np.random.PCG64(seed)), reference)
    problem = None
    try:
        fault.scenario(trial)
    except AssertionError as error:
        problem = str(error) or traceback.format_exc()
    except Exception:
        problem = traceback.format_exc()
    end_all(folder)
    if problem is None:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        problem = f"{shutil.move(folder, tempfile.mkdtemp(prefix='bptt-fault-'))}: {problem}"
    tally.add(trial, problem)


def _shown(tallies: Any) -> Table:
    table = Table(*COLUMNS)
    for tally in tallies:
        table.add_row(*tally.row)
    return table


def _about(args: argparse.Namespace, seconds: float) -> dict[str, Any]:
    found = describe_environment()
    words = ["python -m tests.faults", f"--kills {args.kills}", f"--seed {args.seed}"]
    return {
        "date": date.today().isoformat(),
        "machine": f"{found['cpu']}, {os.cpu_count()} cores, {platform.system()}, Python {found['python']}",
        "command": " ".join([*words, *(f"--only '{word}'" for word in args.only or ())]),
        "minutes": round(seconds / 60),
    }


if __name__ == "__main__":
    sys.exit(main())
