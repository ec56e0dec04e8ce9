"""What a sweep's runs are made of beside their configurations: files that these name, and choices of the user's own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from bptt.configuration.components import build_component
from bptt.configuration.compose import Composer
from bptt.configuration.vocabulary import find_conf_folder
from bptt.core.run import Task
from bptt.printable import make_printable
from bptt.tasks.own_data.preparation import Preparation
from bptt.tracking.folder.preparations import identify_task, note_preparation
from bptt.tracking.provenance.digest import names_file
from bptt.tracking.store.address import hide_passwords

_LONGEST: Final = 100_000  # characters of a choice
_MOST_TOLD: Final = 12


def hash_files(configs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The files that resolved configurations name as a `path`: the path → SHA-256 of what they hold now."""
    seen: dict[int, Any] = {}  # parts, which many configurations have in common
    paths = dict.fromkeys(path for config in configs for path in _paths(config, seen))
    return {path: sha256(Path(path).read_bytes()).hexdigest() for path in paths if Path(path).is_file()}


def collect_preparations(configs: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """How the tasks of resolved configurations over data of one's own were prepared, as a sweep's journal has it."""
    seen: dict[int, Any] = {}  # nodes, which many configurations have in common
    found = {}
    for config in configs:
        node = config.get("task")
        if id(node) not in seen:
            seen[id(node)] = node
            task = build_component("task", node, "bptt.tasks", Task, config.get("allow") or (), [])
            preparation = getattr(task, "preparation", None)
            if isinstance(preparation, Preparation):
                found[identify_task(config)] = note_preparation(preparation)
    return found


def tell_of_data(preparations: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What was said of a sweep's data, each line once, at most a dozen."""
    lines = list(dict.fromkeys(line for one in preparations.values() for line in one["remarks"]))
    yield from map(make_printable, lines[:_MOST_TOLD])
    if len(lines) > _MOST_TOLD:
        yield f"and {len(lines) - _MOST_TOLD:,} lines more of the data of {len(preparations):,} tasks"


def collect_choices(composer: Composer, folders: Sequence[Path], structures: Iterable[Sequence[str]]) -> dict[str, str]:
    """The files of choices that lie in folders of the user's own: their path → their text.

    folders     that choices are looked for in, first the one with precedence
    structures  the choices of all jobs, as overrides
    """
    own = [folder for folder in folders if folder.resolve() != find_conf_folder().resolve()]
    if not own:
        return {}
    names = dict.fromkeys(name for choices in structures for name in composer.files(choices))
    # A block's own initialisation is named by its value, not by Hydra's list.
    blocks = [f"init/{path.stem}" for folder in own for path in sorted((folder / "init").glob("*.yaml"))]
    found = {}
    for name in dict.fromkeys([*names, *blocks]):
        path = next((folder / f"{name}.yaml" for folder in folders if (folder / f"{name}.yaml").is_file()), None)
        if path is not None and any(path.is_relative_to(folder) for folder in own):
            text = path.read_text(encoding="utf-8", errors="replace")[:_LONGEST]
            found[_shorten_path(path)] = "".join(map(hide_passwords, text.splitlines(keepends=True)))
    return found


def _paths(node: Any, seen: dict[int, Any]) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if names_file(key) and isinstance(value, str):
                yield value
            elif isinstance(value, Mapping) and id(value) not in seen:
                seen[id(value)] = value
                yield from _paths(value, seen)


def _shorten_path(path: Path) -> str:
    """The path as seen from the current folder, which a command's own paths are too."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
