"""Tables as LaTeX: what pdfLaTeX makes of them, in an article."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest
from pylatexenc.latexencode import get_builtin_uni2latex_dict

import bptt
from bptt.analysis.report.contents import report_several, report_single
from bptt.analysis.report.document import Column, Mono, ShownTable, Strong
from bptt.analysis.report.latex import render_latex
from bptt.analysis.report.rendering import escape_latex
from bptt.analysis.report.writing import render_tables
from tests.analysis.report.planted import HOSTILE, planted

KINDS = (
    "plain",
    HOSTILE,
    "日本語のとても長い名前です日本語のとても長い名前です",
    "[x] µ η⁺ α ε − × ≥ ∈",
    "* ,, '' `` ?` é ß Ж 😀 \u200b\u202e",
    "a/very/long/path/of/a/users/own/data/files/that/never/ends.npz",
    "X" * 80,
)
#: One of each kind: a grid of one key and of two, a condition, a search. The others' tables have no other columns.
SWEEPS = ["alpha_epsilon", "leftbit_hidden_size", "length_adding", "optuna_adder"]
NEEDS = re.compile(r"% Needs (\\usepackage\[T1\]\{fontenc\}) and (\\usepackage\{[a-z,]+\})\.\n")
_COMPLAINTS = re.compile(
    r"^(?:!|Overfull|Missing character|LaTeX Warning: (?!Label|There were multiply)).*", re.MULTILINE
)


def table(frame: pd.DataFrame, *columns: Column, name: str = "t", most: int = 200) -> str:
    return render_latex(ShownTable(name, "A title", ("A caption.",), frame, columns, most=most))


def packages(text: str) -> tuple[str, ...]:
    """What the table's first line says that it needs."""
    found = NEEDS.match(text)
    assert found is not None, text.partition("\n")[0]
    return found.groups()


def typeset(parts: Mapping[str, str], folder: Path, needs: Sequence[str] = ()) -> list[str]:
    """What pdfLaTeX complains of, behind the name of the part that it is about.

    The text is 0.9 as wide as an article's, so that what is wider is complained of. A longtable settles at the third
    time.
    """
    program = shutil.which("pdflatex")
    if program is None:
        says = "there is no pdflatex here (Debian: apt-get install texlive-latex-recommended lmodern)"
        assert "pdflatex" not in os.environ.get("MUST_HAVE", ""), says
        pytest.skip(says)
    used = dict.fromkeys([*needs, *(package for text in parts.values() for package in packages(text))])
    body = [f"\\typeout{{PART {name}}}\n{text}\n\\clearpage" for name, text in parts.items()]
    lines = [
        r"\documentclass{article}",
        *used,
        r"\usepackage{lmodern}",
        r"\setlength{\textwidth}{0.9\textwidth}",
        r"\begin{document}",
        *body,
        r"\end{document}",
    ]
    (folder / "all.tex").write_text("\n".join(lines), encoding="ascii")
    for _ in range(3):
        subprocess.run([program, "-interaction=nonstopmode", "all.tex"], cwd=folder, capture_output=True, check=False)
    log = (folder / "all.log").read_text(encoding="utf-8", errors="replace")
    if "Output written on all.pdf" not in log:
        return [f"no output: {log[-500:]}"]
    return [
        f"{part.partition(chr(10))[0]}: {found[0]}"
        for part in log.split("PART ")[1:]
        for found in _COMPLAINTS.finditer(part)
    ]


def test_all_that_is_written_is_ascii() -> None:
    known = [*get_builtin_uni2latex_dict(), *range(0x20, 0x2500), 0x65E5, 0x1F600, 0xE000]
    for code in known:
        assert escape_latex(chr(code)).isascii(), hex(code)
    assert escape_latex("日") == r"\ensuremath{\langle}\texttt{U+65E5}\ensuremath{\rangle}"
    assert escape_latex("µ η⁺ ≥ log₁₀") == (
        r"\textmu{} \ensuremath{\eta}\textsuperscript{+} \ensuremath{\geq} log\textsubscript{10}"
    )


def test_a_row_that_begins_as_an_option_does() -> None:
    text = table(pd.DataFrame({"a": ["[1, 2]", "*"], "b": [1, 2]}), Column("a", "a"), Column("b", "b", "exact"))
    rows = text.partition(r"\midrule")[2].splitlines()[1:3]
    assert [row.strip() for row in rows] == [r"{[}1, 2{]} & 1 \\", r"{*} & 2 \\"]


def test_a_small_table_is_as_wide_as_what_it_holds() -> None:
    text = table(pd.DataFrame({"a": ["x"], "b": [0.25]}), Column("a", "key"), Column("b", "share", "share"))
    assert text.splitlines() == [
        r"% Needs \usepackage[T1]{fontenc} and \usepackage{amssymb,booktabs}.",
        r"\begin{table}",
        r"  \centering",
        r"  \setlength{\belowcaptionskip}{0.5em}",
        r"  \caption{A title. A caption.}",
        r"  \label{tab:t}",
        r"  \small",
        r"  \setlength{\tabcolsep}{0.45em}",
        r"  \begin{tabular}{@{}lr@{}}",
        r"    \toprule",
        r"    key & share \\",
        r"    \midrule",
        r"    x & 25~\% \\",
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]


def test_a_long_text_is_broken_and_an_interval_is_not() -> None:
    frame = pd.DataFrame({"a": ["word " * 40], "b": [0.5], "low": [0.25], "high": [0.75]})
    text = table(frame, Column("a", "a"), Column("b", "b", "share", "low", "high"))
    assert re.search(r"\\begin\{tabular\}\{@\{\}>\{\\raggedright\\arraybackslash\}p\{\d+\.\d\dem\}r@\{\}\}", text)
    assert r"50~\% (25~\%~to~75~\%) \\" in text
    assert ",array," in text.partition("\n")[0]


def test_a_table_of_more_than_a_page_is_a_longtable() -> None:
    text = table(pd.DataFrame({"a": range(100)}), Column("a", "a", "exact"))
    assert text.startswith(r"% Needs \usepackage[T1]{fontenc} and \usepackage{amssymb,booktabs,longtable}.")
    assert text.count(r"\endhead") == text.count(r"\begin{longtable}") == 1
    assert r"\begin{table}" not in text


def test_what_is_too_wide_for_the_smallest_type_is_parted_with_numbered_rows() -> None:
    frame = pd.DataFrame({f"{n}": [123456.5, 2.5] for n in range(16)})
    text = table(frame, *(Column(f"{n}", f"heading{n}", "exact") for n in range(16)))
    headings = [line.split(" & ") for line in text.splitlines() if "heading" in line]
    assert len(headings) > 1
    assert [heading[0].strip() for heading in headings] == [r"\#"] * len(headings)
    assert [name.strip(" \\") for heading in headings for name in heading[1:]] == [f"heading{n}" for n in range(16)]
    assert re.findall(r"^    (\d) &", text, re.MULTILINE) == ["1", "2"] * len(headings)


@pytest.mark.slow
def test_every_character_of_the_library_s_table(tmp_path: Path) -> None:
    codes = [*get_builtin_uni2latex_dict(), *range(0x20, 0x7F), 0x65E5, 0x1F600]
    for start in range(0, len(codes), 400):
        few = [chr(code) for code in codes[start : start + 400]]
        frame = pd.DataFrame({"a": few, "b": few, "c": [f"{a}{b}" for a, b in zip(few, reversed(few), strict=True)]})
        text = table(frame, Column("a", "a"), Column("b", "b", mono=True), Column("c", "c"), most=400)
        # The monospaced font lacks a few of them, as ™.
        lost = [line for line in typeset({str(start): text}, tmp_path) if not re.search("Missing.*lmtt", line)]
        assert lost == []


@pytest.mark.slow
def test_hostile_names_in_every_table(tmp_path: Path) -> None:
    sweep = planted(
        kinds=KINDS,
        outcomes={3: "diverged", 5: None},
        errors={6: f"Traceback (most recent call last):\n  x\nValueError: {' '.join(HOSTILE.split())}"},
        question=HOSTILE,
    )
    other = planted(kinds=KINDS[:2], name="two")
    tables = render_tables(report_single(sweep, [], []))
    tables |= {
        f"several {name}": text for name, text in render_tables(report_several([sweep, other], [[], []], [])).items()
    }
    parts = {name: text.decode() for name, text in tables.items() if name.endswith(".tex")}
    assert len(parts) > 12
    assert typeset(parts, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEPS)
def test_every_table_of_a_shipped_sweep(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its report after a short training: the tables and columns are those that it ships, the numbers others."""
    monkeypatch.chdir(tmp_path)
    short = ["train.updates=8", "train.log_points=2", "tracking.enabled=false", "hydra.launcher.workers=1"]
    if name == "optuna_adder":
        short += ["hydra.sweeper.halving=null", "hydra.sweeper.trials=4"]
    else:
        short += ["hydra.sweeper.seeds=2"]
    if name.startswith("length_"):
        short += ["task.eval_size=10", "train.batch_size=2", "model.hidden_size=4"]
    sweep = bptt.sweep([f"sweep={name}", *short])
    files = render_tables(report_single(sweep, [], []))
    parts = {path: text.decode() for path, text in files.items() if path.endswith(".tex")}
    assert len(parts) >= 6
    assert typeset(parts, tmp_path) == []


def test_a_caption_has_its_own_type() -> None:
    frame = pd.DataFrame({"a": [1]})
    made = ShownTable("t", "A & B", ("of ", Mono("x_y"), ", ", Strong("10 %")), frame, [Column("a", "a", "exact")])
    assert r"\caption{A \& B. of \texttt{x\_y}, \textbf{10 \%}}" in render_latex(made)
