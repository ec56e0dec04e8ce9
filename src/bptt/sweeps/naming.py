"""What runs are called."""

from collections.abc import Mapping
from typing import Any


def run_name(resolved: Mapping[str, Any]) -> str:
    """The name of a run on its own: `leftbit elman seed=0`."""
    choices = [str(resolved[group]["_target_"]).split(".")[-2] for group in ("task", "model")]
    return " ".join([*choices, f"seed={resolved['seed']}"])


def swept_name(swept: Mapping[str, str], short: Mapping[str, str]) -> str:
    """The name of a run among those of its sweep, by what was swept: `alpha=0.1 hidden_size=8 seed=3`."""
    ordered = sorted(swept, key=lambda key: key == "seed")
    return " ".join(f"{short[key]}={swept[key]}" for key in ordered)
