"""What a sweep reads that bptt does not bring: files that its configurations name, and choices of the user's own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from bptt.configuration.composing import Composer
from bptt.configuration.paths import conf_folder
from bptt.tracking.address import without_password

_LONGEST: int = 100_000  # characters of a choice


def named_files(configs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The files that resolved configurations name as a `path`: the path → SHA-256 of what they hold now."""
    paths = dict.fromkeys(path for config in configs for path in _paths(config))
    return {path: sha256(Path(path).read_bytes()).hexdigest() for path in paths if Path(path).is_file()}


def own_choices(composer: Composer, folders: Sequence[Path], structures: Iterable[Sequence[str]]) -> dict[str, str]:
    """The files of choices that lie in folders of the user's own: their path → their text.

    folders     that choices are looked for in, first the one with precedence
    structures  the choices of all jobs, as overrides
    """
    own = [folder for folder in folders if folder.resolve() != conf_folder().resolve()]
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
            found[_shown(path)] = "".join(map(without_password, text.splitlines(keepends=True)))
    return found


def _paths(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "path" and isinstance(value, str):
                yield value
            else:
                yield from _paths(value)


def _shown(path: Path) -> str:
    """The path as seen from the current folder, which a command's own paths are too."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
