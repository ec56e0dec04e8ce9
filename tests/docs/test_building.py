"""What the site's build adds: mathematics, docstrings, reference, and lists of what is found."""

import json
import re
from pathlib import Path

import pytest
import yaml

from bptt.cli.main import COMMANDS
from bptt.configuration.vocabulary import find_conf_folder
from docs.building import citation, commands, components, configuration, gallery, proofs, speed
from docs.building.docstrings import write_markdown
from docs.building.foreign import find_foreign
from docs.building.mathematics import render
from docs.make_results import training
from docs.make_results.titles import TITLES

DOCS = Path(__file__).parents[2] / "docs"


def test_formulas_become_mathml() -> None:
    html = render(
        '<p>a <span class="arithmatex">\\(x_1 &lt; 2\\)</span></p><div class="arithmatex">\\[\\frac{1}{2}\\]</div>'
    )
    assert "arithmatex" not in html
    assert html.count("<math") == 2
    assert '<div class="formula"><math' in html
    assert "<mfrac>" in html
    assert "<msub>" in html


def test_a_docstring_s_fields_become_a_list_and_its_equations_no_markup() -> None:
    text = """h_t = f(x_t W) where a < b * c.

    alpha  the rate of
           learning
    beta   of `a_b`
    And so on.

        code(x)
    """
    assert write_markdown(text) == (
        "h\\_t = f(x\\_t W) where a &lt; b \\* c.\n\n"
        "- **alpha**: the rate of learning\n- **beta**: of `a_b`\n\nAnd so on.\n\n```text\ncode(x)\n```"
    )


def test_every_choice_is_in_the_reference() -> None:
    shown, listed = components.write_page(), configuration.write_page()
    for path in find_conf_folder().glob("*/*.yaml"):
        group, name = path.parent.name, path.stem
        if group in ("experiment", "sweep"):
            assert f"- `{name}`: " in listed
        else:
            assert f"### {group}={name}\n" in listed
            assert group in ("train", "tracking") or f"### {group}={name}\n\n::: bptt." in shown


def test_what_a_gate_s_bias_may_be_is_in_the_reference_too() -> None:
    shown = components.write_page()
    assert "### init.gate_bias: chrono\n\n::: bptt.core.inits.initialisation.Chrono\n" in shown
    assert any("`init.gate_bias.forget=1`" in row for row in configuration.write_page().splitlines())


def test_the_configuration_names_defaults_bounds_and_what_files_say() -> None:
    rows = configuration.write_page().splitlines()
    assert "| `optimizer.alpha` | `0.1` | a number at least 0 | learning rate |" in rows
    assert "| `clip.threshold` | `1.0` | a number above 0 |  |" in rows
    assert any(row.startswith("| `train.early_stop.metric` | `null` | one of loss/train, ") for row in rows)
    assert any(row.startswith("Blocks of weights that start differently from the rest: null") for row in rows)
    assert any(row.startswith("| `seed` | `0` | a whole number at least 0 | initial weights") for row in rows)
    assert any(row.startswith("| `tracking.checkpoint_seconds` | `60` | a number above 0, or null | ") for row in rows)


def test_commands_say_what_they_say_with_help() -> None:
    page = commands.write_page({"compare": COMMANDS["compare"]})
    assert f"## bptt compare\n\nS{COMMANDS['compare'][1:]}.\n" in page
    assert "--metric" in page
    assert "usage: bptt compare" in page


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img alt="" src="http://a.example/b.png">',
        "a { background: url('https://a.example/b.png') }",
        "@import 'https://a.example/b.css';",
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(text: str) -> None:
    assert len(find_foreign(text)) == 1


def test_links_and_own_files_are_not() -> None:
    assert find_foreign('<a href="https://a.example">x</a><img src="../b.png"><link rel="icon" href="c.png">') == []
    assert find_foreign("a { background: url(../b.png) } b { background: url('data:image/svg+xml;x') }") == []


def test_the_gallery_shows_figures_that_are_there_with_what_the_results_say() -> None:
    shown = gallery.write_gallery(DOCS)
    figures = re.findall(r"!\[[^\n]+\]\(([^)]+\.png)\)\{ loading=lazy \}\]\(([^)]+)\)", shown)
    assert len(figures) >= 9
    assert all((DOCS / figure).is_file() and (DOCS / page.partition("#")[0]).is_file() for figure, page in figures)
    index = " ".join((DOCS / "results" / "README.md").read_text(encoding="utf-8").split())
    answers = re.findall(r"results/README\.md#\S+\)\*\*\n\n    ([^\n]+)\n", shown)
    assert len(answers) == 9
    assert all(f"**Answer. {answer}**" in index for answer in answers)


def test_a_proof_s_question_and_figure_are_found(tmp_path: Path) -> None:
    for folder in ("published", "results/published/sharp"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "published" / "index.md").write_text("# Published\n\nNot this.\n")
    (tmp_path / "published" / "sharp.md").write_text(
        "# Sharpness (A et al. 2021)\n\nIt may. Does it\nrise? So.\n\n## More\n"
    )
    report = tmp_path / "results" / "published" / "sharp" / "report.md"
    report.write_text("# S\n\n![a \\] b](figures/one.png)\n\n![c](figures/two.png)\n")
    (tmp_path / "results" / "published" / "hard_one").mkdir()
    (tmp_path / "results" / "published" / "hard_one" / "report.md").touch()
    assert proofs.name_reports(tmp_path) == {
        "results/published/hard_one/report.md": "hard one",
        "results/published/sharp/report.md": "Sharpness (A et al. 2021)",
    }
    assert proofs.write_list(tmp_path) == "- **[Sharpness (A et al. 2021)](sharp.md)** Does it rise?"
    (tmp_path / "results" / "README.md").write_text("")
    (tile,) = gallery._show_proofs(tmp_path)
    assert (tile.figure, tile.alt) == ("results/published/sharp/figures/one.png", "a \\] b")
    assert (tile.page, tile.text) == ("published/sharp.md", "Does it rise?")


def test_every_shipped_sweep_has_a_name_for_people() -> None:
    assert sorted(TITLES) == training.list_shipped()
    assert len(set(TITLES.values())) == len(TITLES)


def test_the_citation_is_that_of_its_file() -> None:
    cited = yaml.safe_load((DOCS.parent / "CITATION.cff").read_text(encoding="utf-8"))
    page = citation.write_page()
    assert f"  title   = {{{cited['title']}}}," in page
    assert f"  version = {{{cited['version']}}}," in page
    assert f"*{cited['title']}* Version {cited['version']}." in page


def test_seconds_are_those_that_were_measured() -> None:
    found = json.loads(max((DOCS.parent / "benchmarks" / "results").glob("*-sweeps.json")).read_text(encoding="utf-8"))
    page = speed.write_speed(DOCS)
    usual, ours = (
        next(side for side in found["phases"] if (side["side"] == "the usual way") is is_it) for is_it in (True, False)
    )
    for what, one, other in (
        ("training", *(side["phases"]["training"]["ms_per_run"] for side in (usual, ours))),
        ("MLflow", *(side["phases"]["store"]["ms_per_run"] for side in (usual, ours))),
    ):
        assert f"| {what} | {one:,.0f} | {other:.1f} |\n" in page
    assert "nan" not in page
