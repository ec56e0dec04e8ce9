"""Every page is followed from its beginning to its end: all commands, code, files and outputs (see `blocks`)."""

import re
from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.docs.reader import ROOT, Reader

_GENERATED = ROOT / "docs" / "results"
PAGES = [
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
    if path.exists() and not path.is_relative_to(_GENERATED)
]
#: Pages that train whole sweeps, compile kernels of their own, or start servers: path → for how many seconds.
_SLOW = {
    "README.md": 60,
    "docs/dynamics.md": 40,
    "docs/python.md": 20,
    "docs/predictions.md": 20,
    "docs/live.md": 10,
    "docs/sweeps.md": 30,
    "docs/tutorial.md": 30,
    "docs/reproducibility.md": 10,
    "docs/scale.md": 10,
    "docs/search.md": 30,
    "docs/server.md": 30,
    "docs/sklearn.md": 10,
    "docs/your_own_data.md": 15,
} | {
    path.relative_to(ROOT).as_posix(): 10
    for folder in ("extend", "experiments", "families", "published")
    for path in (ROOT / "docs" / folder).glob("*.md")
}
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_slow_pages_are_there() -> None:
    assert set(map(name_of, PAGES)) >= _SLOW.keys()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=name, marks=[pytest.mark.slow(seconds=_SLOW[name])] if name in _SLOW else [])
        for path, name in zip(PAGES, map(name_of, PAGES), strict=True)
    ],
)
def test_a_page_does_what_it_says(path: Path, tmp_path: Path) -> None:
    folder, state = tmp_path / "page", tmp_path / "state"
    folder.mkdir()
    state.mkdir()
    with Reader(folder, state) as reader:
        for block in blocks_of(path, name_of(path)):
            reader.follow(block)


@pytest.mark.parametrize("path", [path for path in PAGES if path.parent == ROOT], ids=name_of)
def test_links_out_of_a_page_that_is_no_part_of_the_site(path: Path) -> None:
    """MkDocs checks those of the others."""
    targets = [found["target"].partition("#")[0] for found in _LINK.finditer(path.read_text(encoding="utf-8"))]
    missing = [target for target in targets if target and "://" not in target and not (path.parent / target).exists()]
    assert missing == []
