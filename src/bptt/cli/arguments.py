"""Arguments that a command can't take are told in one line, like all that is wrong."""

import argparse
import sys
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A command's parser; no name may be cut short, as another one may come to begin like it."""

    def __init__(self, prog: str, **settings: object) -> None:
        super().__init__(prog, allow_abbrev=False, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end with exit code 2."""
        refuse(self.prog, message)


def refuse(command: str, message: str) -> NoReturn:
    """Say what is wrong with a command's arguments, and end with exit code 2."""
    print(f"{command}: {message}; {command} --help says more", file=sys.stderr)
    raise SystemExit(2)
