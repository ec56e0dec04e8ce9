"""What fuzzing found."""

import pytest

from bptt.configuration.compose import compose
from bptt.configuration.errors import ConfigurationError
from bptt.sweeps.jobs.grammar import expand


def test_an_exclusion_beside_an_override_that_reads_otherwise_when_it_is_read_again() -> None:
    override = "++train.early_stop.threshold.true={name:${\u202e}}"
    with pytest.raises(ConfigurationError) as caught:
        expand({"exclude": [{"init._target_": ["x"]}]}, [override])
    assert caught.value.lines == ("hydra.sweeper.exclude[0]: init._target_ is not swept",)


def test_what_steers_a_terminal_is_written_out() -> None:
    with pytest.raises(ConfigurationError) as caught:
        compose(["experimeant@nan='\x1b[31m'"])
    (line,) = caught.value.lines
    assert r"experimeant@nan='\x1b[31m'" in line
    assert line.isprintable()
