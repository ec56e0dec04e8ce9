"""A Hydra app that does nothing: what starting a job costs."""

from dataclasses import dataclass

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig


@dataclass
class Config:
    seed: int = 0


ConfigStore.instance().store(name="trivial", node=Config)


@hydra.main(version_base="1.3", config_path=None, config_name="trivial")
def main(_config: DictConfig) -> None:
    pass


if __name__ == "__main__":
    main()
