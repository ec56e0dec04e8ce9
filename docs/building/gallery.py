"""The first page's gallery: figures of the results with what was found, as the results' own pages say it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pymdownx.slugs import slugify

from docs.building.proofs import Proof, list_proofs

MARK: Final = "<!-- gallery -->"
_RESULTS: Final = Path("results/README.md")
#: The figures that are shown of the results' index, in this order.
_SHOWN: Final = (
    "remedies.png",
    "leftbit_hidden_size/figures/success_hidden_size.png",
    "clip_threshold/figures/success_map.png",
    "init_scale_spectral_radius/figures/success_map.png",
    "eta/figures/success_map.png",
    "single_changes.png",
    "alpha_epsilon/figures/success_map.png",
    "hidden_size/figures/success_hidden_size.png",
    "edge_of_stability/figures/dynamics_sharpness_along.png",
)
_SECTION: Final = re.compile(
    r"^### (?P<title>[^\n]+)\n\n\*\*Question\..*?\n\n\*\*Answer\. (?P<answer>.*?)\*\*\n\n"
    r"!\[(?P<alt>(?:[^\]\\]|\\.)*)\]\((?P<figure>[^)]+)\)",
    re.MULTILINE | re.DOTALL,
)
_FIGURE: Final = re.compile(r"!\[(?P<alt>(?:[^\]\\]|\\.)*)\]\((?P<figure>figures/[^)]+)\)")


@dataclass(frozen=True)
class Tile:
    """A figure that leads to a page; paths are as seen from the folder of the pages."""

    figure: str
    alt: str
    page: str
    title: str
    text: str


def write_gallery(docs: Path) -> str:
    """The gallery in Markdown: proofs that have a figure, then sections of the results' index."""
    tiles = [*_show_proofs(docs), *_show_results(docs)]
    return "\n".join(['<div class="grid cards gallery" markdown>', "", *map(_write_tile, tiles), "</div>"])


def _write_tile(tile: Tile) -> str:
    return f"""-   [![{tile.alt}]({tile.figure}){{ loading=lazy }}]({tile.page})

    **[{tile.title}]({tile.page})**

    {tile.text}
"""


def _show_results(docs: Path) -> Iterator[Tile]:
    found = {section["figure"]: section for section in _SECTION.finditer((docs / _RESULTS).read_text(encoding="utf-8"))}
    for figure in _SHOWN:
        section = found[figure]
        place = slugify(case="lower")(section["title"], "-")
        answer = " ".join(section["answer"].split())
        page = f"{_RESULTS.as_posix()}#{place}"
        yield Tile(f"results/{figure}", section["alt"], page, section["title"], answer)


def _show_proofs(docs: Path) -> Iterator[Tile]:
    for proof in list_proofs(docs):
        figure = _find_figure(docs, proof)
        if figure is not None:
            path = f"{proof.report.removesuffix('report.md')}{figure['figure']}"
            yield Tile(path, figure["alt"], proof.page, proof.title, proof.question)


def _find_figure(docs: Path, proof: Proof) -> re.Match[str] | None:
    """The first figure of a proof's report; None: there is none."""
    report = docs / proof.report
    return _FIGURE.search(report.read_text(encoding="utf-8")) if report.is_file() else None
