"""`bptt COMMAND …`: finds the command's module and hands it the rest. Nothing heavy is imported before that."""

import difflib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType

from bptt import __version__
from bptt.cli.common import forget, print_text_alone, say
from bptt.configuration.errors import explain_shortage
from bptt.sweeps.workers.interrupts import stop_signals

COMMANDS = {
    "train": "train one run, or with -m a sweep of runs, and record them",
    "tune": "train a sweep in which each setting first chooses values of its own",
    "confirm": "train a sweep's best setting again, on fresh seeds",
    "status": "say how far a sweep or a run is, how fast, what failed, what time is left",
    "plan": "say what a sweep would do: how many runs, what fuses, how long it takes",
    "resume": "go on with a run or a sweep that was interrupted",
    "sync": "send to the store what it did not get of a sweep",
    "rm": "delete a sweep: its runs in the store, and its files",
    "compare": "say what tells sweeps or runs apart, which does better, and how sure that is",
    "measure": "measure the dynamics of what a sweep or a run has trained: exponents, Jacobians, sharpness",
    "report": "write what a sweep found, or several side by side: HTML, Markdown, tables",
    "reproduce": "train a run or a sweep again from its record, and compare every number",
    "check-gradients": "compare a configuration's gradients with finite differences",
    "predict": "predict with a trained network: new data from a file, or its evaluation and test sets",
    "export": "make an MLflow model, or ONNX, of a trained network",
    "warm": "compile the kernels ahead of time, for an image or a cluster's shared folder",
    "doctor": "look for whatever is in the way, and say what mends it",
    "ui": "open MLflow's pages on what was recorded",
}

_USAGE = f"""\
bptt {__version__}: when, how fast and how reliably does a recurrent network learn?

usage: bptt COMMAND …

{chr(10).join(f"  {name:<17}{says}" for name, says in COMMANDS.items())}

  bptt train experiment=roelants_counting            an article's experiment
  bptt train task=xor model=gru optimizer.alpha=0.1  choices and values of your own
  bptt train -m model=elman,lstm seed=0,1,2          a sweep: a run for each combination
  bptt train sweep=hidden_size                       a sweep that comes with bptt

`bptt COMMAND --help` says more. Tab completion for bash: eval "$(bptt --shell-completion install=bash)"
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code: 0 all went well, 1 some run failed, 2 a wrong request, 130 interrupted."""
    with print_text_alone():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    command, *rest = [*(sys.argv[1:] if argv is None else argv)] or ["--help"]
    if command in ("-h", "--help", "help"):
        print(_USAGE, end="")
        return 0
    if command == "--version":
        print(f"bptt {__version__}")
        return 0
    if command in ("-sc", "--shell-completion"):
        return _complete([command, *rest])
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        print(f"{command}: no such command{meant} (commands: {', '.join(COMMANDS)})", file=sys.stderr)
        return 2
    for name in ("matplotlib", "hydra"):  # of caches and fonts; without a handler of their own Python prints them
        logging.getLogger(name).addHandler(logging.NullHandler())
    before = {number: signal.signal(number, _interrupt) for number in stop_signals() if number != signal.SIGINT}
    try:
        code = int(import_module(f"bptt.cli.{command.replace('-', '_')}").main(rest))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read along, as `head` does, has gone
        forget(sys.stdout)
        return 1
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        if (says := explain_shortage(error)) is None:
            raise
        say(says)
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM, and a terminal that goes away, are as good as Ctrl-C."""
    raise KeyboardInterrupt


def _complete(argv: Sequence[str]) -> int:
    """Answer Hydra's completion script, which takes `bptt` for the program and its first argument for an override."""
    program, _, line = os.environ.get("COMP_LINE", "").partition(" ")
    first, space, overrides = line.lstrip().partition(" ")
    if any(argument.startswith("query") for argument in argv):
        if not space:
            print(" ".join(name for name in COMMANDS if name.startswith(first)))
            return 0
        os.environ["COMP_LINE"] = f"{program} {overrides}"
        # Where the cursor stands, in a line that is shorter now.
        os.environ["COMP_POINT"] = str(len(os.environ["COMP_LINE"]))
    return int(import_module("bptt.cli.train").main([*argv]))
