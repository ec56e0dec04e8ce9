"""The page of the components: every choice of each group that has classes, with its equations."""

from pathlib import Path

from omegaconf import OmegaConf

from bptt.configuration.vocabulary import find_conf_folder

_GROUPS = ("task", "model", "init", "loss", "optimizer", "schedule", "regularizer", "clip")

#: Of a group, what its values may name beside its choices: the title → the class.
_BESIDE = {"init": {"init.gate_bias: chrono": "bptt.core.inits.initialisation.Chrono"}}


def write_page() -> str:
    """A section for each group; a class that a choice names is shown from its source."""
    told = ["Each choice, as its class says it; its values stand in [Configuration](configuration.md)."]
    for group in _GROUPS:
        told.append(f"## {group}")
        told += [_write_choice(path) for path in sorted((find_conf_folder() / group).glob("*.yaml"))]
        told += [_write_class(title, target) for title, target in _BESIDE.get(group, {}).items()]
    return "\n\n".join(told) + "\n"


def _write_choice(path: Path) -> str:
    return _write_class(f"{path.parent.name}={path.stem}", OmegaConf.load(path)._target_)


def _write_class(title: str, target: str) -> str:
    options = "    options:\n      members: false\n      show_root_heading: false\n      show_root_toc_entry: false"
    return f"### {title}\n\n::: {target}\n{options}"
