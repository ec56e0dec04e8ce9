import sys

import numpy as np
import pytest

from bptt.tracking.provenance.environment import installed, provenance


def test_versions_are_named() -> None:
    assert provenance()["bptt.version.numpy"] == np.__version__
    assert installed("numpy") == np.__version__
    assert installed("no-such-package") is None


def test_a_password_on_the_command_line_is_blotted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bin/bptt", "train", "tracking.uri=postgresql://me:hidden@host/db"])
    assert provenance()["mlflow.source.name"] == "bptt train tracking.uri=postgresql://me:***@host/db"
