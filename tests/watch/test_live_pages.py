"""The page of a sweep in headless Chromium, at the width of a phone and of a desk, light and dark, while it goes on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bptt.watch import feed as feeding
from bptt.watch.server import LiveServer
from tests.recording import archived, results
from tests.watch.browser import CHROMIUM, Browser
from tests.watch.test_server import HOSTILE
from tests.watch.watching import trained

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt-get install chromium)"),
]

SIZES = [(390, False), (1280, True)]
#: Whether nothing is wider than the window, and every text of a chart lies within it and apart from the others.
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
OVERLAPS = """
[...document.querySelectorAll('.chart svg')].flatMap((svg) => {
  const boxes = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
  const whole = svg.getBoundingClientRect();
  const outside = boxes.filter(([, box]) => box.left < whole.left - 1 || box.right > whole.right + 1);
  const pairs = boxes.flatMap(([one, a], place) => boxes.slice(place + 1)
    .filter(([, b]) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
    .map(([other]) => `${one} over ${other}`));
  return [...outside.map(([text]) => `${text} outside`), ...pairs];
})
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(feeding, "_SECONDS_BETWEEN", 0.1)
    monkeypatch.setattr(feeding, "_SECONDS_BETWEEN_OF_ENDED", 0.1)
    return tmp_path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_a_sweep_is_on_show_and_goes_on(browser: Browser, width: int, dark: bool, tmp_path: Path) -> None:
    browser.errors.clear()
    browser.requests.clear()
    with trained(Path("multirun/s"), question="Which?", conditions=["optimizer.alpha"]) as archive:
        with LiveServer(port=0) as page:
            browser.open(page.url, width, dark=dark)
            browser.wait_for("document.querySelectorAll('.chart path.median').length === 6")  # of nine
            assert browser.ask("document.getElementById('state').textContent") == "is being trained"
            assert browser.ask("document.getElementById('figures').textContent").startswith("8 of 9 runs ended (88 %)")
            assert browser.ask("document.querySelectorAll('#conditions > section').length") == 5
            best = browser.ask("document.getElementById('best').textContent")
            assert best.startswith("Best so far, in each condition: alpha=0: model=elman — 1 of its 1 runs solved")
            assert "Picked on these same runs, not confirmed." in best
            assert browser.ask(FITS)
            assert browser.ask(OVERLAPS) == []
            # What ends while somebody looks comes to the page, which is not loaded anew.
            browser.ask("window.same = true")
            archive.write_block(5, [replace(results(0)[0], job=8)])
            archive.place_sign(5).unlink()
            browser.wait_for("document.getElementById('figures').textContent.startsWith('9 of 9 runs ended (100 %)')")
            assert browser.ask("window.same")
            # Another metric.
            pick = "const s = document.getElementById('metric'); s.value = '{}'; s.dispatchEvent(new Event('change'))"
            browser.ask(f"{{{pick.format('accuracy/eval')}}}")
            browser.wait_for(
                "[...document.querySelectorAll('.chart text')].some((t) => t.textContent === 'accuracy (%)')"
            )
            assert browser.ask(OVERLAPS) == []
            assert browser.ask("document.body.matches(':has(:focus-visible)')") is False
            assert {url.split("/", 3)[2] for url in browser.requests if url.startswith("http")} == {
                page.url.split("/")[2]
            }
            assert all(url.startswith(("http://127.0.0.1:", "data:,", "about:")) for url in browser.requests)
        browser.wait_for("document.getElementById('state').textContent.includes(\"doesn't answer\")")
    refused = [
        error for error in browser.errors if "ERR_CONNECTION_REFUSED" not in error and "ERR_INCOMPLETE" not in error
    ]
    assert refused == []


def test_names_and_errors_of_others_do_nothing(browser: Browser) -> None:
    browser.errors.clear()
    with trained(Path("multirun/s"), rename=lambda job: HOSTILE, question=HOSTILE), LiveServer(port=0) as page:
        browser.open(page.url, 1280)
        browser.wait_for("document.querySelectorAll('.chart path.median').length >= 5")
        assert browser.ask("document.querySelectorAll('img').length") == 0
        assert browser.ask("document.scripts.length") == 1
        shown = browser.ask("document.body.innerText")
        assert "</script><img src=x onerror=alert(1)>\\x1b[2J\\u202ebad" in shown
        assert browser.errors == []


def test_a_row_and_the_mouse_tell_one_setting(browser: Browser) -> None:
    archived(Path("multirun/s"))
    with LiveServer(port=0) as page:
        browser.open(page.url, 1280)
        browser.wait_for("document.querySelectorAll('.chart path.median').length === 5")
        browser.ask("document.querySelector('button[data-arm=\"3\"]').click()")
        assert browser.ask("document.querySelectorAll('.chart path.median:not(.dim)').length") == 1
        assert browser.ask("document.querySelector('button[data-arm=\"3\"]').getAttribute('aria-pressed')") == "true"
        x, y, width = browser.ask(
            "{const b = document.querySelector('.chart svg').getBoundingClientRect(); [b.x, b.y + 60, b.width]}"
        )
        browser.point(x + width * 0.5, y)
        told = browser.wait_for("document.querySelector('.tip:not([hidden])')?.textContent")
        assert told.startswith("update 40model=lstm alpha=0.1: 0 (0 to 0) of 1 run")


def test_a_page_that_waits_says_so(browser: Browser) -> None:
    Path("multirun").mkdir()
    with LiveServer(port=0) as page:
        browser.open(page.url, 390)
        browser.wait_for("document.getElementById('state').textContent === 'waits for a sweep in multirun'")
        archived(Path("multirun/s"))
        browser.wait_for("document.querySelectorAll('.chart path.median').length === 5")
