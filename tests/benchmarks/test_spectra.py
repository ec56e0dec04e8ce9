import re

import pytest

from benchmarks import spectra


def test_it_times_what_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert spectra.main(["--lanes", "11", "--units", "3", "--timesteps", "5", "--rounds", "2"]) == 0
    said = capsys.readouterr().out
    assert re.fullmatch(
        r"11 networks of 3 units over 5 timesteps: [\d.]+ s \([\d.]+ to [\d.]+\)\n"
        r"a timestep's product and QR of all: [\d.]+ ms; with NumPy and LAPACK [\d.]+ ms\n",
        said,
    )
