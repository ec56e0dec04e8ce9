"""The configuration of a single run: composed, and checked as a whole before anything starts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bptt.configuration.build import Configuration, check_configuration
from bptt.configuration.errors import ConfigurationError
from bptt.configuration.hydra import refuse_unused
from bptt.tracking.store.address import refuse_password, refuse_unnamed

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig


def check_single(config: "DictConfig", parsed: "Sequence[Override]", overrides: Sequence[str]) -> Configuration:
    """The checked configuration of a single run.

    config     as it was composed
    parsed     what the user has given, without what a command sets by itself
    overrides  all of it as texts, which name a server where one is named

    Raises ConfigurationError with a line for everything that is wrong, and StoreError where the store's address holds a
    password, or names a server that the user has not.
    """
    configuration = check_configuration(config)
    refuse_unused(config, parsed, sweep=False)
    if configuration.sweep.tune is not None:
        raise ConfigurationError(["tune: chooses values for the runs of a sweep, which takes -m"])
    if configuration.sweep.confirm is not None:
        raise ConfigurationError(["confirm: picks the best setting of a sweep, which takes -m"])
    if configuration.tracking.uri is not None:
        refuse_password(configuration.tracking.uri, "tracking.uri=")
        refuse_unnamed(configuration.tracking.uri, overrides)
    return configuration
