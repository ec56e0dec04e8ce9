"""`bptt plan [overrides]`: what a sweep would do, without doing it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bptt.cli import hydra_app
from bptt.cli.common import say

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

    from bptt.sweeps.search.search import Search


def main(argv: Sequence[str]) -> int:
    """Print the number of runs, what fuses, and an estimate of time and memory. 2: a wrong request."""
    return hydra_app.run(argv, _Plan(), "bptt plan")


class _Plan(hydra_app.WholeTask):
    """What Hydra is given to call in place of training."""

    _reuses = True

    def take_one(self, config: "DictConfig", loader: "ConfigLoader", job: Sequence[str]) -> None:
        """Plan a single run, which is trained whatever the store holds."""
        self._reuses = False
        self.sweep(config, loader, [job])

    def sweep(self, config: "DictConfig", loader: "ConfigLoader", jobs: Sequence[Sequence[str]]) -> "list[JobReturn]":
        from bptt.sweeps.planning import plan_sweep

        plan_sweep(config, loader, jobs, print, say, reuses=self._reuses)
        return []

    def search(self, _config: "DictConfig", _loader: "ConfigLoader", search: "Search") -> None:
        from bptt.sweeps.planning import plan_search

        plan_search(search, print)
