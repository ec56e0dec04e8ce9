import numpy as np

from bptt.tracking.provenance import installed, provenance


def test_versions_are_named() -> None:
    assert provenance()["bptt.version.numpy"] == np.__version__
    assert installed("numpy") == np.__version__
    assert installed("no-such-package") is None
