"""The pages of published results say what the tables of the reports say, and each row has runs that answer it."""

import shutil
from pathlib import Path

import pytest

from bptt.configuration.build import check_configuration
from docs.make_results.proofs import PREFIX, list_figures, write_index, write_page
from docs.make_results.tables import UnsupportedError
from docs.make_results.training import list_published
from tests.docs.test_make_results import composed

_DOCS = Path(__file__).parents[2] / "docs"
_PAGES, _RESULTS = _DOCS / "published", _DOCS / "results"
NAMES = list_published()


def test_there_are_ten() -> None:
    assert len(NAMES) == 10
    assert {path.stem for path in _PAGES.glob("*.md")} == {"index", *(name.removeprefix(PREFIX) for name in NAMES)}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_the_table_of_its_report(name: str, tmp_path: Path) -> None:
    page = f"{name.removeprefix(PREFIX)}.md"
    shutil.copy(_PAGES / page, tmp_path / page)
    assert write_page(name, _RESULTS, tmp_path).read_text(encoding="utf-8") == (_PAGES / page).read_text(
        encoding="utf-8"
    )
    shown = {f"{figure}.png" for figure in list_figures(name, _PAGES)}
    assert {path.name for path in (_RESULTS / name / "figures").glob("*")} == shown
    assert f"bptt train sweep={name}\n" in (_PAGES / page).read_text(encoding="utf-8")


def test_the_index_counts_the_verdicts_of_each(tmp_path: Path) -> None:
    shutil.copytree(_PAGES, tmp_path, dirs_exist_ok=True)
    written = write_index(NAMES, _RESULTS, tmp_path).read_text(encoding="utf-8")
    assert written == (_PAGES / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_answered_by_some_run(name: str) -> None:
    config, jobs = composed(name)
    checked = check_configuration(config)
    assert checked.sweep.published is not None
    for row in checked.sweep.published.rows:
        for selected in (row.where, row.against or ()):
            keys = {key for job in jobs for key in job}
            swept = [(key, value) for key, value in selected if key in keys]
            assert any(all(_is(job.get(key), value) for key, value in swept) for job in jobs), (row.what, selected)


def _is(text: str | None, value: object) -> bool:
    if text is None or value is None:
        return text is value
    try:
        return float(text) == float(str(value))
    except ValueError:
        return text.strip("'\"").lower() == str(value).lower()


def test_a_page_without_marks_or_a_table_is_refused(tmp_path: Path) -> None:
    tables = tmp_path / "results" / "published" / "own" / "tables"
    tables.mkdir(parents=True)
    with pytest.raises(UnsupportedError, match=r"published\.csv: is not there"):
        write_page("published/own", tmp_path / "results", tmp_path)
    (tables / "published.csv").write_text(
        "what,at,theirs,ours_text,runs,verdict_text,verdict\na,b,1,2 (1 to 3),4,the same,same\n"
    )
    with pytest.raises(UnsupportedError, match=r"own\.md: is not there"):
        write_page("published/own", tmp_path / "results", tmp_path)
    page = tmp_path / "own.md"
    page.write_text("# Own\n\nNo marks.\n")
    with pytest.raises(UnsupportedError, match="must have <!-- table --> and <!-- end --> once"):
        write_page("published/own", tmp_path / "results", tmp_path)
    page.write_text("# Own\n\n<!-- table -->\nold\n<!-- end -->\n\n![x](../results/published/own/figures/start.png)\n")
    write_page("published/own", tmp_path / "results", tmp_path)
    text = page.read_text()
    assert "old" not in text
    assert "| a | b | 1 | 2 (1 to 3) | 4 | the same |" in text
    assert list_figures("published/own", tmp_path) == ("start",)
    (tmp_path / "index.md").write_text("# All\n<!-- table -->\n<!-- end -->\n")
    index = write_index(["published/own"], tmp_path / "results", tmp_path).read_text()
    assert "| [Own](own.md) | `published/own` | 1 | 0 | 0 |" in index
