import math

import numpy as np
import pandas as pd
import pytest

from bptt.analysis.report.document import Column, ShownTable
from bptt.analysis.report.rendering import MISSING, write_number, write_rows, write_share


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (0.0404, "0.0404"),
        (0.1, "0.100"),
        (1.0, "1.00"),
        (12.345, "12.3"),
        (99.96, "100"),
        (123.4, "123"),
        (-12345.6, "−12,346"),
        (0.0009996, "0.00100"),
        (0.00035, "3.50·10⁻⁴"),
        (-2.5e-12, "−2.50·10⁻¹²"),
        (1.23456e9, "1.23·10⁹"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (math.nan, MISSING),
    ],
)
def test_number(value: float, written: str) -> None:
    assert write_number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0, "0 %"), (0.5, "50 %"), (0.994, "99.4 %"), (1.0, "100 %"), (-0.25, "−25 %"), (0.004, "0.4 %")],
)
def test_share(value: float, written: str) -> None:
    assert write_share(value) == written


def test_rows_hold_numbers_as_the_file_has_them() -> None:
    frame = pd.DataFrame(
        {
            "name": ["a", None],
            "x": [0.1 + 0.2, np.nan],
            "low": [np.nan, 1.0],
            "high": [0.5, 1.0],
            "n": np.array([3, 4], np.int64),
            "of": [7, 8],
            "yes": [True, False],
        }
    )
    columns = [
        Column("name", "name", mono=True),
        Column("x", "x", "number", "low", "high"),
        Column("n", "n", "count", of="of"),
        Column("yes", "yes"),
    ]
    (name, x, n, yes), (no_name, no_x, _, no) = write_rows(ShownTable("t", "T", (), frame, columns))
    assert (name.shown, name.mono) == ("a", True)
    assert (no_name.shown, no_name.mono) == (MISSING, False)
    assert x.shown.text == "0.300"  # type: ignore[union-attr]
    assert x.shown.value == "0.30000000000000004"  # type: ignore[union-attr]
    assert x.low == MISSING
    assert x.high.text == "0.500"  # type: ignore[union-attr]
    assert (no_x.shown, no_x.low) == (MISSING, None)
    assert (n.shown.text, n.of.text) == ("3", "7")  # type: ignore[union-attr]
    assert (yes.shown, no.shown) == ("yes", "no")
