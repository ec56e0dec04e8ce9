"""What differs between the releases of Hydra, whichever is installed."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra import version
from hydra._internal import utils

from bptt.configuration.hydra import arguments_parser, choose_defaults, version_base


@pytest.mark.parametrize(
    ("release", "argument"),
    [("1.3.2", {"version_base": "1.3"}), ("1.3.8", {"version_base": "1.3"}), ("1.4.0rc3", {}), ("1.10.0", {})],
)
def test_defaults_are_chosen_where_there_are_several(
    release: str, argument: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[str] = []
    monkeypatch.setattr(hydra, "__version__", release)
    monkeypatch.setattr(version, "setbase", chosen.append)
    assert version_base() == argument
    choose_defaults()
    assert chosen == list(argument.values())


def test_every_help_is_a_text_where_argparse_takes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from Python 3.14 on."""
    owner = next(kind for kind in argparse.ArgumentParser.__mro__ if "add_argument" in vars(kind))
    add_argument: Any = vars(owner)["add_argument"]

    def strict(parser: Any, *flags: str, **options: Any) -> Any:
        if not isinstance(options.get("help", ""), str):
            raise ValueError("badly formed help string")
        return add_argument(parser, *flags, **options)

    monkeypatch.setattr(owner, "add_argument", strict)
    monkeypatch.setattr(utils, "get_args_parser", utils.get_args_parser)  # put back in the end
    parser = arguments_parser()
    assert vars(owner)["add_argument"] is strict
    helps = {action.dest: action.help for action in parser._actions}
    assert all(isinstance(text, str) for text in helps.values())
    assert str(helps["shell_completion"]).startswith("Install or Uninstall shell completion:")
    assert parser.parse_args(["-m", "seed=1,2"]).overrides == ["seed=1,2"]
    assert utils.get_args(["seed=3"]).overrides == ["seed=3"]  # as Hydra's tab completion does


def test_hydra_warns_of_nothing(tmp_path: Path) -> None:
    """Nor from Python; hydra-core 1.4 warns of whatever 1.5 will have no more."""
    code = (
        "import sys; from bptt.cli.main import main; from bptt.configuration.compose import compose;"
        "compose(['task=xor']); sys.exit(main(['train', '--cfg', 'job', '--package', 'optimizer']))"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-W", "error::DeprecationWarning", "-c", code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (result.returncode, result.stderr) == (0, "")
    assert "_target_: bptt.core.optimizers" in result.stdout
