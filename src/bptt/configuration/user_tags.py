"""Tags that a user gives a run or a sweep, `tags.study=pilot`, to find it again; no number follows them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bptt.configuration.errors import cut, quote, write_problem

#: What MLflow and bptt keep of their own under a tag of such a name.
_RESERVED: Final = ("mlflow", "bptt")
#: As MLflow takes them: it has no other characters in a tag's name.
_NAME: Final = re.compile(r"[\w][\w\-.]*", re.ASCII)
_LONGEST_NAME: Final = 200
_LONGEST_TEXT: Final = 4000


def read_tags(given: Any, problems: list[str]) -> dict[str, str]:
    """Name → text of the tags that a configuration gives; what is wrong with them is told in `problems`.

    A number or a truth value counts as its text, null as no tag; mappings in the mapping join their names with a dot.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        problems.append(write_problem("tags", given, "must be a mapping of names to texts, as tags.study=pilot"))
        return {}
    found: dict[str, str] = {}
    for name, value in _list_leaves(given, ""):
        if value is None:
            continue
        if (why := _find_unfit_name(name) or _find_unfit_text(value)) is not None:
            problems.append(write_problem(f"tags.{cut(name)}", value, why))
        else:
            found[name] = value if isinstance(value, str) else quote(value)
    return found


def _list_leaves(node: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _list_leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _find_unfit_name(name: str) -> str | None:
    if name.partition(".")[0].lower() in _RESERVED:
        return (
            f"tags named {' or '.join(f'{one}.…' for one in _RESERVED)} are MLflow's and bptt's own; name it otherwise"
        )
    if not _NAME.fullmatch(name) or ".." in name or name.endswith("."):
        return "a tag's name has letters, digits, _, - and single dots alone"
    return f"a tag's name has at most {_LONGEST_NAME} characters" if len(name) > _LONGEST_NAME else None


def _find_unfit_text(value: Any) -> str | None:
    if not isinstance(value, str | bool | int | float):
        return "must be a text; quote a list: tags.units='[4, 8]'"
    if isinstance(value, str) and not value.strip():
        return "must be a text that is not empty; null: no tag"
    return f"must be a text of at most {_LONGEST_TEXT:,} characters" if len(str(value)) > _LONGEST_TEXT else None
