"""The page of the configuration: every group, every choice, every key, from the files in conf/ and the classes."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

from omegaconf import OmegaConf

from bptt.configuration.build import SweepSettings, Tracking, _Rest
from bptt.configuration.errors import quote
from bptt.configuration.fields import describe_type
from bptt.configuration.vocabulary import find_conf_folder
from bptt.core.run import EarlyStop, Settings

_CLASSES: dict[str, type] = {"train": Settings, "train.early_stop": EarlyStop, "tracking": Tracking}
_COMMENT = re.compile(r"^(?P<indent> *)(?P<key>[\w]+):(?P<value>[^#]*?)(?:  # (?P<says>.*))?$")
_COMPOSED = ("experiment", "sweep")


def write_page() -> str:
    """A section for each group, its choices below it."""
    conf = find_conf_folder()
    groups = sorted({path.parent.name for path in conf.glob("*/*.yaml")} - set(_COMPOSED))
    told = [
        "What a run is made of, as the files in `conf/` have it: `bptt train GROUP=CHOICE` takes a choice,"
        " `bptt train KEY=VALUE` changes a value.",
        "## Beside the groups",
        _write_table(_list_keys(conf / "config.yaml", "", ("hydra", "defaults", "init"))),
    ]
    for group in groups:
        told += [f"## {group}", _read_comment_above(conf / "config.yaml", group)]
        for path in sorted((conf / group).glob("*.yaml")):
            told += [
                f"### {group}={path.stem}",
                _read_comment(path),
                _write_table(_list_keys(path, f"{group}.", ("defaults", "_target_"))),
            ]
    for group in _COMPOSED:
        told += [f"## {group}", f"Whole configurations: `bptt train {group}=NAME`."]
        told.append(
            "\n".join(f"- `{path.stem}`: {_read_comment(path)}" for path in sorted((conf / group).glob("*.yaml")))
        )
    return "\n\n".join(part for part in told if part) + "\n"


def _read_comment(path: Path) -> str:
    """The comment that a file begins with."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line != "# @package _global_"]
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    text = " ".join(comment)
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _read_comment_above(path: Path, key: str) -> str:
    """The comment above a key of a file, where it has one of its own."""
    lines = path.read_text(encoding="utf-8").splitlines()
    place = lines.index(f"{key}:") if f"{key}:" in lines else 0
    first = place
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
    return " ".join(line.lstrip("# ") for line in lines[first:place])


def _list_keys(path: Path, prefix: str, left_out: tuple[str, ...]) -> Iterator[tuple[str, str, str, str]]:
    """(key, default, what it may be, what the file says of it) of each key of a file."""
    values = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(values, dict)
    says = _read_comments(path)
    hints = _read_hints(prefix, values)
    for key, value in _flatten({name: value for name, value in values.items() if name not in left_out}):
        hint = hints.get(key)
        yield f"{prefix}{key}", _write_default(value), "" if hint is None else describe_type(hint), says.get(key, "")


def _read_comments(path: Path) -> dict[str, str]:
    """Key, dotted where it is nested, → the comment behind it."""
    found, parents = {}, list[str]()
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := _COMMENT.match(line):
            depth = len(match["indent"]) // 2
            parents = [*parents[:depth], match["key"]]
            found[".".join(parents)] = match["says"] or ""
    return found


def _read_hints(prefix: str, values: dict[Any, Any]) -> dict[str, Any]:
    if "_target_" in values:
        module, _, name = values["_target_"].rpartition(".")
        return get_type_hints(getattr(importlib.import_module(module), name), include_extras=True)
    if not prefix:
        return get_type_hints(_Rest, include_extras=True) | get_type_hints(SweepSettings, include_extras=True)
    group = prefix.rstrip(".")
    found: dict[str, Any] = {}
    for place, kind in _CLASSES.items():
        if place.partition(".")[0] == group:
            inner = place.removeprefix(group).lstrip(".")
            found |= {
                f"{inner}.{key}".lstrip("."): hint for key, hint in get_type_hints(kind, include_extras=True).items()
            }
    return found


def _flatten(values: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _write_default(value: Any) -> str:
    return "must be given" if value == "???" else f"`{quote(value)}`"


def _write_table(rows: Iterator[tuple[str, str, str, str]]) -> str:
    lines = [
        f"| `{key}` | {default} | {allowed} | {says} |".replace("\\", "\\\\") for key, default, allowed, says in rows
    ]
    return "\n".join(["| key | default | may be | |", "|---|---|---|---|", *lines]) if lines else ""
