"""Variables of the environment that change what bptt does; what they keep secret is not shown."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from bptt.doctor.finding import Finding, Situation, write_command

_OURS: Final = re.compile(
    r"(BPTT|MLFLOW|NUMBA|HYDRA)_\w+|(OPENBLAS|OMP|MKL|BLIS)_NUM_THREADS|LOKY_MAX_CPU_COUNT|TMPDIR"
)
_SECRET: Final = re.compile(r"PASSWORD|TOKEN|SECRET|KEY|CREDENTIAL|HEADER|AUTH|COOKIE", re.IGNORECASE)
_WIDTHS: Final = ("2", "4", "8")


def examine(situation: Situation) -> Iterator[Finding]:
    """Each variable that matters and is set."""
    found = {name: value for name, value in sorted(situation.variables.items()) if _OURS.fullmatch(name)}
    for name, value in found.items():
        yield _find_trouble(name, value) or Finding(subject=name, says=_hide_secrets(name, value))
    if not found:
        yield Finding(subject="variables", says="none is set that changes what bptt does")


def _hide_secrets(name: str, value: str) -> str:
    from bptt.tracking.store.address import hide_passwords

    return "is set, and not shown" if _SECRET.search(name) else hide_passwords(value)


def _find_trouble(name: str, value: str) -> Finding | None:
    if name == "NUMBA_DISABLE_JIT" and value not in ("", "0"):
        return _suggest_unset(name, value, "wrong", "nothing is compiled, and no kernel can be called")
    if name == "BPTT_SIMD_WIDTH" and value not in ("", *_WIDTHS):
        return _suggest_unset(
            name, value, "wrong", f"must be one of {', '.join(_WIDTHS)}: every command ends with that"
        )
    if name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES") and value:
        means = "kernels are compiled for another processor than this one: they may be slow, or end the process"
        return _suggest_unset(name, value, "note", means)
    if name == "NUMBA_CACHE_DIR" and value:
        return Finding(
            mark="note",
            subject=name,
            says=value,
            means="bptt keeps its kernels elsewhere: BPTT_CACHE_DIR names their folder",
            command=f"export BPTT_CACHE_DIR={write_command(value)}",
        )
    return None


def _suggest_unset(name: str, value: str, mark: str, means: str) -> Finding:
    return Finding(
        mark="wrong" if mark == "wrong" else "note", subject=name, says=value, means=means, command=f"unset {name}"
    )


def name_origin(variables: Mapping[str, str], uri: str | None) -> str:
    """What named the store: `--uri`, the variable, or nothing."""
    if uri is not None:
        return "--uri"
    return "MLFLOW_TRACKING_URI" if variables.get("MLFLOW_TRACKING_URI") else ""
