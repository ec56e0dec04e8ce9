"""The pages of published results: which there are, and what each asks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MARK: Final = "<!-- pages -->"
_SENTENCE: Final = re.compile(r"(?<=[.?!]) (?=[A-Z])")
FOLDER: Final = "published"
INDEX: Final = f"{FOLDER}/index.md"


@dataclass(frozen=True)
class Proof:
    """A page of a published result; paths are as seen from the folder of the pages.

    question  the first of its first paragraph; where that has none, all of it
    report    of its sweep, which may not be there
    """

    page: str
    title: str
    question: str
    report: str


def list_proofs(docs: Path) -> Sequence[Proof]:
    """The proofs that have a page, by title."""
    paths = [path for path in (docs / FOLDER).glob("*.md") if path.name != Path(INDEX).name]
    return sorted((_read_proof(path) for path in paths), key=lambda proof: proof.title)


def _read_proof(path: Path) -> Proof:
    title, opening = path.read_text(encoding="utf-8").split("\n\n")[:2]
    report = f"results/{FOLDER}/{path.stem}/report.md"
    return Proof(f"{FOLDER}/{path.name}", title.removeprefix("# "), _find_question(" ".join(opening.split())), report)


def _find_question(paragraph: str) -> str:
    return next((sentence for sentence in _SENTENCE.split(paragraph) if sentence.endswith("?")), paragraph)


def name_reports(docs: Path) -> dict[str, str]:
    """The reports of proofs that are there: place → title; one whose page is not written yet has its sweep's name."""
    titles = {proof.report: proof.title for proof in list_proofs(docs)}
    places = sorted(path.relative_to(docs).as_posix() for path in docs.glob(f"results/{FOLDER}/*/report.md"))
    return {place: titles.get(place, Path(place).parent.name.replace("_", " ")) for place in places}


def write_list(docs: Path) -> str:
    """The list of them in Markdown, as it stands in their index."""
    rows = [f"- **[{proof.title}]({Path(proof.page).name})** {proof.question}" for proof in list_proofs(docs)]
    return "\n".join(rows)
