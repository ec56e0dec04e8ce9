"""The site as a reader has it who opens its files, without a server: nothing is loaded from elsewhere or missing, the
search finds, code is not cut off.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.watch.browser import CHROMIUM, Browser

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow(seconds=90),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt-get install chromium)"),
]

#: What reaches beyond its box, or beyond the page: code, and the page itself.
CUT_OFF = """(() => {
  const wide = [...document.querySelectorAll("pre, pre > code")].filter((one) => one.scrollWidth > one.clientWidth + 1);
  const page = document.documentElement;
  return [...wide.map((one) => one.textContent.slice(0, 60)), ...(page.scrollWidth > page.clientWidth ? ["page"] : [])];
})()"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder], check=True, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    "page", ["index", "tutorial", "good-for", "results/index", "results/eta/report", "reference/configuration"]
)
def test_nothing_is_cut_off_or_missing(site: Path, browser: Browser, page: str, width: int) -> None:
    before = len(browser.requests)
    browser.open((site / f"{page}.html").as_uri(), width)
    assert browser.ask(CUT_OFF) == []
    browser.ask("document.querySelectorAll('img').forEach((one) => { one.loading = 'eager' })")
    browser.wait_for("[...document.images].every((one) => one.complete)")
    assert browser.ask("[...document.images].filter((one) => !one.naturalWidth).map((one) => one.src)") == []
    asked = browser.requests[before:]
    assert [one for one in asked if not one.startswith(("file://", "data:", "about:", "blob:"))] == []
    assert browser.errors == []


def test_the_search_finds_in_files(site: Path, browser: Browser) -> None:
    browser.open((site / "metrics.html").as_uri(), 1280)
    browser.ask("document.querySelector('[data-md-toggle=search]').click()")
    browser.ask("""(() => {
      const field = document.querySelector(".md-search__input");
      field.focus();
      field.value = "Lyapunov";
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.dispatchEvent(new Event("keyup", { bubbles: true }));
    })()""")
    found = browser.wait_for("[...document.querySelectorAll('.md-search-result__link')].map((one) => one.href).join()")
    assert "dynamics.html" in found
    assert all(one.startswith("file://") for one in found.split(","))


def test_the_navigation_has_names_for_people(site: Path, browser: Browser) -> None:
    browser.open((site / "index.html").as_uri(), 1280)
    links = browser.ask(
        "[...document.querySelectorAll('.md-nav--primary a.md-nav__link')].map((one) => one.textContent.trim())"
    )
    assert len(links) > 60
    assert {"Adding by length", "The edge of stability", "Cite this", "What it is good for"} <= {*links}
    assert [one for one in links if "_" in one or one.endswith(".md")] == []
