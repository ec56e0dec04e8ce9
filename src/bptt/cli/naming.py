"""What a run and its sweep are called."""

from collections.abc import Mapping, Sequence
from typing import Any


def run_name(resolved: Mapping[str, Any], swept: Sequence[str] = ()) -> str:
    """`leftbit elman seed=0`; in a sweep what was swept: `leftbit elman optimizer.alpha=0.1 seed=3`.

    swept: the overrides by which this run differs from others, as `key=value`.
    """
    choices = [str(resolved[group]["_target_"]).split(".")[-2] for group in ("task", "model")]
    values = [text for text in swept if text.partition("=")[0] not in {"task", "model", "seed"}]
    return " ".join([*choices, *values, f"seed={resolved['seed']}"])


def swept_values(overrides: Sequence[str], argv: Sequence[str], params: Mapping[str, Any] | None = None) -> list[str]:
    """Those of a job's overrides that differ between the jobs of its sweep.

    argv    the command line, where a sweep says what is swept
    params  Hydra's hydra.sweeper.params, where a file may say it
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    texts = [text for text in argv if "=" in text and not text.startswith("-")]
    texts += [f"{key}={value}" for key, value in (params or {}).items()]
    try:
        parsed = OverridesParser.create().parse_overrides(texts)
    except HydraException:
        return []
    swept = {override.get_key_element() for override in parsed if override.is_sweep_override()}
    return [text for text in overrides if text.partition("=")[0] in swept]
