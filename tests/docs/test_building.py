"""What the site's build adds: mathematics, docstrings and reference."""

import pytest

from bptt.cli.main import COMMANDS
from bptt.configuration.vocabulary import find_conf_folder
from docs.building import commands, components, configuration
from docs.building.docstrings import write_markdown
from docs.building.foreign import find_foreign
from docs.building.mathematics import render


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
