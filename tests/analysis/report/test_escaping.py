import pytest

from bptt.analysis.report.rendering import choose_fence, escape_latex, escape_markdown, escape_markdown_code, join_lines


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain words, 0.5 and 1-2", "plain words, 0.5 and 1-2"),
        ("a_b*c`d`[e](f)", r"a\_b\*c\`d\`\[e\](f)"),
        ("a|b\nc", r"a\|b c"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        (r"\$x$", r"\\\$x\$"),
        ("- item", r"\- item"),
        ("12. item", r"12\. item"),
        ("12.5 is none", "12.5 is none"),
        ("===", r"\==="),
        ("# none", r"\# none"),
        ("http://a www.b", "http&#58;//a www&#46;b"),
    ],
)
def test_markdown(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped


def test_code() -> None:
    assert escape_markdown_code("model.hidden_size=3") == "`model.hidden_size=3`"
    assert escape_markdown_code("a`b|c") == r"<code>a\`b\|c</code>"


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert choose_fence("plain") == "```"
    assert choose_fence("a ```` b") == "`````"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("50 % & a_b #1 {c} $", r"50 \% \& a\_b \#1 \{c\} \$"),
        (r"\section", r"\textbackslash{}section"),
        ("3.50·10⁻⁴", r"3.50$\cdot10^{-4}$"),
        ("--", "-{}-"),
        ("η² ∞", r"\ensuremath{\eta}\textsuperscript{2} \ensuremath{\infty}"),
        ("log₁₀ η⁺ ½ µ", r"log\textsubscript{10} \ensuremath{\eta}\textsuperscript{+} \textonehalf{} \textmu{}"),
        ("[a] *", r"{[}a{]} {*}"),
        ("a\nb", "a b"),
    ],
)
def test_latex(text: str, escaped: str) -> None:
    assert escape_latex(text) == escaped


def test_one_line() -> None:
    assert join_lines("a\r\nb\x00c\td") == "a b c d"
