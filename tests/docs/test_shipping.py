"""What lies in docs/results: of each report its Markdown, its tables and three figures, and nothing else."""

import re
from pathlib import Path

import pytest

from bptt.analysis.figures import draw_sweep
from bptt.analysis.report.contents import report_single
from bptt.analysis.report.rendering import render_pages
from bptt.analysis.report.writing import render_tables
from docs.make_results import training
from docs.make_results.shipping import FIGURES, MOST_FIGURES, shipped_files
from docs.make_results.tables import UnsupportedError
from tests.analysis.report.planted import folder_of, planted

RESULTS = Path(__file__).parents[2] / "docs" / "results"
NAMED = re.compile(r"`(tables/[^`]+)`|\]\((figures/[^)]+)\)")


def whole_report() -> dict[str, bytes]:
    """A report's files, without what is in its figures."""
    sweep = planted()
    figures = draw_sweep(sweep)
    report = report_single(sweep, figures, [])
    images = {f"figures/{figure.name}.png": b"" for figure in figures}
    return render_pages(report, {figure.name: b"" for figure in figures}, "png") | render_tables(report) | images


def named(files: dict[str, bytes]) -> set[str]:
    return {table or figure for table, figure in NAMED.findall(files["report.md"].decode())}


def outside_figures(text: str) -> str:
    before, _, rest = text.partition("## Figures")
    return re.sub(r"!\[[^\n]+\n\n\*\*Figure [^\n]+\n\n", "", before) + rest.partition("\n## ")[2]


def test_the_results_are_small_and_of_three_kinds() -> None:
    files = [path for path in RESULTS.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".md", ".csv", ".png"}
    assert sum(path.stat().st_size for path in files) < 4_000_000


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_a_report_has_what_it_names_and_what_is_written_of_it(name: str) -> None:
    files = folder_of(RESULTS / name)
    assert named(files) == files.keys() - {"report.md"}
    assert {path for path in files if path.startswith("figures/")} == {f"figures/{one}.png" for one in FIGURES[name]}
    assert shipped_files(name, files) == files


def test_every_shipped_sweep_has_its_figures() -> None:
    assert sorted(FIGURES) == training.list_shipped()
    assert all(0 < len(set(figures)) == len(figures) <= MOST_FIGURES for figures in FIGURES.values())


def test_a_report_loses_what_is_not_shipped_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = whole_report()
    figures = [path for path in whole if path.startswith("figures/")]
    assert len(figures) > 2
    monkeypatch.setitem(FIGURES, "eta", tuple(Path(figures[place]).stem for place in (-1, 1)))
    files = shipped_files("eta", whole)
    assert files.keys() == {"report.md", figures[1], figures[-1], *(path for path in whole if path.endswith(".csv"))}
    assert named(files) == files.keys() - {"report.md"}
    text, full = (found["report.md"].decode() for found in (files, whole))
    assert re.findall(r"\*\*Figure (\d+)\.", text) == ["1", "2"]
    assert text.index(figures[1]) < text.index(figures[-1])
    assert outside_figures(text) == re.sub(r", `tables/\w+\.tex`", "", outside_figures(full))


def test_of_many_runs_the_first_are_shown_and_what_the_rest_says_is_left_out() -> None:
    head = "| run | digest |\n| ---: | --- |\n"
    caption = "**Table 9. All 150 runs.** Told. Files: `tables/runs.csv`\n\n"
    rows = [f"| {run} | `{run:x}` |\n" for run in range(150)]
    page = f"# eta\n\n{caption}{head}{''.join(rows)}\n</details>\n"
    table = 'run,name,a,seed,status,digest\n0,"a=1,5 seed=0","1,5",0,FINISHED,0a\n1,b,2,1,FINISHED,0b\n'
    figures = {f"figures/{name}.png": b"" for name in FIGURES["eta"]}
    files = shipped_files("eta", figures | {"report.md": page.encode(), "tables/runs.csv": table.encode()})
    told = caption.replace("Told.", "Told. The first 10 of 150 rows.")
    assert files["report.md"].decode() == f"# eta\n\n{told}{head}{''.join(rows[:10])}\n</details>\n"
    assert files["tables/runs.csv"].decode() == 'run,a,seed\n0,"1,5",0\n1,2,1\n'
    assert shipped_files("eta", files) == files
    failed = table.replace("b,2,1,FINISHED", "b,2,1,FAILED")
    files = shipped_files("eta", figures | {"report.md": page.encode(), "tables/runs.csv": failed.encode()})
    assert files["tables/runs.csv"].decode() == 'run,a,seed,status\n0,"1,5",0,FINISHED\n1,2,1,FAILED\n'


def test_numbers_have_six_digits_and_whole_ones_no_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIGURES, "eta", ())
    rows = [
        b'1,0.12345678901234567,"a,0.12345678901234567b",0123456789abcdef',
        b"2,-1.9190282467453566e-05,,1",
        b"3,1234567.0,,2.0",
    ]
    table = b"\n".join([b"run,loss,text,digest", *rows, b""])
    files = shipped_files("eta", {"report.md": b"# eta\n", "tables/settings.csv": table})
    assert files["tables/settings.csv"].decode().splitlines()[1:] == [
        '1,0.123457,"a,0.12345678901234567b",0123456789abcdef',
        "2,-1.91903e-05,,1",
        "3,1234567,,2",
    ]
    assert shipped_files("eta", files) == files


def test_a_figure_that_a_report_lacks_is_told() -> None:
    with pytest.raises(UnsupportedError, match=r"^eta: the report has no figures/success_map\.png, "):
        shipped_files("eta", {"report.md": b"# eta\n"})
