"""The page of the commands: what each says with `--help`."""

import io
import os
from contextlib import redirect_stdout

from bptt.cli.main import COMMANDS, main


def write_page(names: dict[str, str] = COMMANDS) -> str:
    """A section for each command."""
    told = [f"```text\n{_read_help('--help')}```"]
    told += [
        f"## bptt {name}\n\n{says[0].upper()}{says[1:]}.\n\n```text\n{_read_help(name, '--help')}```"
        for name, says in names.items()
    ]
    return "\n\n".join(told) + "\n"


def _read_help(*arguments: str) -> str:
    os.environ["COLUMNS"] = "100"
    said = io.StringIO()
    with redirect_stdout(said):
        try:
            main(arguments)
        except SystemExit as end:  # argparse's
            if end.code:
                raise RuntimeError(f"bptt {' '.join(arguments)}: exit code {end.code}") from end
    return said.getvalue().rstrip() + "\n"
