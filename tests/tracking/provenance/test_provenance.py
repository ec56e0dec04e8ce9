import sys

import numpy as np
import pytest

from bptt.tracking.provenance.environment import find_version, make_provenance_tags


def test_versions_are_named() -> None:
    assert make_provenance_tags()["bptt.version.numpy"] == np.__version__
    assert find_version("numpy") == np.__version__
    assert find_version("no-such-package") is None


def test_a_password_on_the_command_line_is_blotted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bin/bptt", "train", "tracking.uri=postgresql://me:hidden@host/db"])
    assert make_provenance_tags()["mlflow.source.name"] == "bptt train tracking.uri=postgresql://me:***@host/db"
