import pytest

from bptt.analysis.tables import write_moment
from bptt.tracking.folder.progress import write_duration


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (92.4, "1 min 32 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration(seconds: float, written: str) -> None:
    assert write_duration(seconds) == written


def test_moment() -> None:
    assert write_moment(0.0) == "1970-01-01 00:00 UTC"
    assert write_moment(1e9) == "2001-09-09 01:46 UTC"
