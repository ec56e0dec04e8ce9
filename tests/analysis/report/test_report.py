"""The report as its readers have it: HTML, Markdown, tables."""

import base64
import hashlib
import io
import math
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from bptt.analysis.report.contents import report_single
from bptt.analysis.report.document import Report
from bptt.analysis.report.rendering import render_pages
from bptt.analysis.report.writing import make_report_files, render_tables, write_report
from bptt.analysis.sweep import Sweep
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.provenance.environment import shorten_diff
from tests.analysis.report.parsed import Page, cells_of
from tests.analysis.report.planted import HOSTILE, folder_of, planted
from tests.test_mlflow_pages import CHROMIUM

OWN = re.compile(r"^(#[\w-]+|data:image/svg\+xml;base64,[A-Za-z0-9+/=]+)$")


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    """Names that formats would take for their own, wherever a name can stand; one run of each kind of trouble."""
    return planted(
        kinds=("plain", HOSTILE, "third"),
        outcomes={3: "diverged", 5: None},
        errors={6: f"Traceback (most recent call last):\n  {HOSTILE}\nValueError: {one_line(HOSTILE)}"},
        question=HOSTILE,
        duplicates=2,
        files={HOSTILE: "ab" * 32},
        choices={f"mine/{HOSTILE}.yaml": HOSTILE},
        command=["bptt", "train", "-m", "--config-dir", "mine", f"model.kind={HOSTILE}", "seed=range(4)"],
    )


@pytest.fixture(scope="module")
def files(sweep: Sweep) -> dict[str, bytes]:
    return make_report_files([sweep])


@pytest.fixture(scope="module")
def page(files: dict[str, bytes]) -> Page:
    return Page(files["report.html"].decode())


@pytest.fixture(scope="module")
def report(sweep: Sweep) -> Report:
    return report_single(sweep, [], [])


def page_of(sweep: Sweep) -> Page:
    """The page of a sweep, without its figures."""
    return Page(render_pages(report_single(sweep, [], []), {}, "svg")["report.html"].decode())


def frame(files: dict[str, bytes], name: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(files[f"tables/{name}.csv"]), keep_default_na=False, na_values=[""])


def test_the_page_needs_nothing_from_elsewhere(page: Page) -> None:
    for name in ("src", "href", "srcset", "data", "action", "poster", "background", "xlink:href", "cite"):
        assert all(OWN.match(value) for value in page.attributes(name)), name
    tags = {tag for tag, _ in page.tags}
    assert tags.isdisjoint(
        {"script", "link", "iframe", "object", "embed", "base", "form", "video", "audio", "svg", "b2"}
    )
    assert not any(name.startswith("on") for _, found in page.tags for name in found)
    assert [found["http-equiv"] for _, found in page.tags if "http-equiv" in found] == ["Content-Security-Policy"]
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_the_page_says_that_nothing_is_loaded_from_elsewhere(files: dict[str, bytes], page: Page) -> None:
    text = files["report.html"].decode()
    (policy,) = [found["content"] for _, found in page.tags if "http-equiv" in found]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = ["default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'", "base-uri 'none'"]
    assert policy.split("; ") == [*rules, "form-action 'none'"]
    assert text.index("Content-Security-Policy") < text.index("<title>")
    assert " style=" not in text


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt-get install chromium)")
def test_a_browser_shows_all_of_the_page_and_loads_nothing(files: dict[str, bytes], tmp_path: Path) -> None:
    def refuse(text: str) -> list[str]:
        """What Chromium says that the page's policy has refused."""
        (tmp_path / "page.html").write_text(text)
        options = ["headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "enable-logging=stderr", "v=0"]
        options += [f"user-data-dir={tmp_path / 'profile'}", f"screenshot={tmp_path / 'page.png'}"]
        command = [str(CHROMIUM), *(f"--{option}" for option in options), (tmp_path / "page.html").as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
        return [line for line in done.stderr.splitlines() if "Content Security Policy" in line]

    text = files["report.html"].decode()
    assert refuse(text) == []
    # What is put into it is refused: another style, a picture from elsewhere, a script.
    image = '<img src="http://127.0.0.1:9/x.png"><script>document.title = 1</script>'
    told = refuse(text.replace("</style>", "p {}</style>").replace("<main>", f"<main>{image}"))
    assert [any(kind in line for line in told) for kind in ("style", "x.png", "script")] == [True, True, True]


def test_its_figures_need_nothing_from_elsewhere(page: Page) -> None:
    images = page.images()
    assert len(images) > 3
    for image in images:
        root = ElementTree.fromstring(image)
        for element in root.iter():
            assert element.tag.rpartition("}")[2] not in {"script", "foreignObject", "a"}
            for name, value in element.attrib.items():
                if name.rpartition("}")[2] == "href":
                    assert value.startswith(("#", "data:image/png;base64,"))
                assert "url(http" not in value.replace(" ", "")


def test_the_page_can_be_found_one_s_way_in(page: Page) -> None:
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    targets = [value.removeprefix("#") for value in page.attributes("href")]
    assert targets == [f["id"] for tag, f in page.tags if tag == "section"]
    assert len(targets) >= 8
    assert set(page.attributes("aria-labelledby")) <= set(ids)
    assert ("html", {"lang": "en"}) in page.tags
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    for tag, found in page.tags:
        if tag == "img":
            assert len(found["alt"].split()) > 3
            assert int(found["width"]) > 100
            assert int(found["height"]) > 50


def test_captions_are_numbered(page: Page) -> None:
    for kind, count in (("Table", len(page.tables)), ("Figure", len(page.images()))):
        numbers = [int(number) for number in re.findall(rf"{kind} (\d+)\. ", page.text)]
        assert numbers == list(range(1, count + 1))


def test_every_number_of_a_table_is_that_of_its_file(page: Page, report: Report, files: dict[str, bytes]) -> None:
    compared = 0
    assert [table.name for table in report.tables] == list(page.tables)
    for table in report.tables:
        stored = frame(files, table.name)
        shown = page.tables[table.name]
        assert len(shown.values) == min(len(stored), table.most)
        numeric = [column for column in table.columns if column.numeric]
        for row, values in zip(stored.head(table.most).to_dict("records"), shown.values, strict=True):
            expected = []
            for column in numeric:
                ends = [row[key] for key in (column.low, column.high) if key is not None]
                known = [row[column.key], *([row[column.of]] if column.of else [])]
                if isinstance(known[0], str) or pd.isna(known[0]):
                    continue
                expected += known + ([] if all(pd.isna(end) for end in ends) else [e for e in ends if not pd.isna(e)])
            assert [float(value) for value in values] == [float(value) for value in expected], table.name
            compared += len(expected)
    assert compared > 100


def test_numbers_are_written_as_they_are(page: Page) -> None:
    (plain, *_), *_ = [page.tables["results"].cells[:1]]
    assert plain[0] == "plain"
    assert plain[1:3] == ["4", "3 of 4"]
    # 3 of 4 with Clopper and Pearson's interval: quantiles of Beta(3, 2) and Beta(4, 1), the latter 0.975^(1/4).
    assert plain[3].startswith("75 %")
    assert plain[3].endswith("19 % to 99.4 %")


def test_hostile_text_is_shown_as_it_is(page: Page) -> None:
    # In running text as it is, in a table on one line.
    assert one_line(page.text).count(one_line(HOSTILE)) > 6
    assert HOSTILE in page.listings
    assert any(HOSTILE in listing for listing in page.listings)
    assert not any(tag == "script" for tag, _ in page.tags)


def test_commands_can_be_copied(page: Page, sweep: Sweep) -> None:
    commands = [shlex.split(listing) for listing in page.listings if listing.startswith("bptt train")]
    assert sweep.command in commands
    best = [command for command in commands if command != sweep.command]
    assert best[0][:4] == ["bptt", "train", "--config-dir", "mine"]
    assert "-m" not in best[0]
    assert "reuse=false" not in best[0]
    assert [f"model.kind={HOSTILE}"] in [command[4:5] for command in best]
    assert "bptt report latest\nbptt reproduce latest" in page.listings


def test_what_is_needed_to_repeat_it_is_there(page: Page) -> None:
    (installation,) = [listing for listing in page.listings if "pip install" in listing]
    assert installation.splitlines() == [
        f"git checkout {'1' * 40}",
        "python3.11 -m venv .venv",
        ". .venv/bin/activate",
        "python -m pip install . numpy==2.4.0",
    ]
    assert any(listing.startswith("ab" * 32) for listing in page.listings)
    facts = {row[0]: row[1] for row in page.tables["made_with"].cells}
    assert facts["Processor"] == "A <b>processor</b>"
    assert facts["BLAS"] == "openblas 0.3 Zen (1 thread)"
    assert facts["Wall time"] == "1 min 32 s"
    assert facts["Begun"] == "2001-09-09 01:46 UTC"
    assert len(facts["Digest of all runs' digests"]) == 16
    assert page.tables["packages"].cells == [["bptt", "0.1.0"], ["numpy", "2.4.0"]]
    assert [row[-1] for row in page.tables["runs"].cells] == [f"{number:016x}" for number in range(12)]
    assert "secret" not in page.text


def test_troubles_are_told(page: Page) -> None:
    assert "Of 12 runs 1 diverged, 1 failed, and 1 did not end." in page.text
    assert [row[0] for row in page.tables["diverged"].cells] == ["3"]
    assert page.tables["failed"].cells[0][2] == f"ValueError: {one_line(HOSTILE)}"
    assert any(HOSTILE in listing and "Traceback" in listing for listing in page.listings)
    assert "2 jobs asked for a run that was there already" in page.text


def test_markdown_holds_together(files: dict[str, bytes], page: Page) -> None:
    text = files["report.md"].decode()
    blocks = re.split(r"\n\s*\n", text)
    tables = [block.splitlines() for block in blocks if block.startswith("| ")]
    assert len(tables) == len(page.tables)
    for lines in tables:
        assert len({len(cells_of(line)) for line in lines}) == 1
    outside = re.sub(r"^(`{3,})\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in outside
    assert "http://" not in outside
    assert not re.search(r"(?<!\\)\$", re.sub(r"`[^`\n]*`", "", outside))
    figures = re.findall(r"^!\[(.+?)\]\((figures/\w+\.svg)\)$", text, re.MULTILINE)
    assert len(figures) == len(page.images())
    assert all(path in files for _, path in figures)


def test_markdown_listings_are_whole(files: dict[str, bytes], page: Page) -> None:
    text = files["report.md"].decode()
    listings = [found[2] for found in re.finditer(r"^(`{3,})\n(.*?)\n\1$", text, re.DOTALL | re.MULTILINE)]
    assert [listing.rstrip("\n") for listing in page.listings] == listings


def test_latex_is_escaped(files: dict[str, bytes]) -> None:
    tables = {name: content.decode() for name, content in files.items() if name.endswith(".tex")}
    assert len(tables) > 5
    for name, text in tables.items():
        assert r"\toprule" in text
        assert r"\bottomrule" in text
        body = re.sub(r"\\label\{.*\}", "", text.partition("\n")[2])
        bare = re.sub(r"\\[\\{}$&#%_]", "", body).replace("@{}", "")
        assert bare.count("{") == bare.count("}"), name
        assert bare.count("$") % 2 == 0
        text = re.sub(r">\{\\ragged(?:left|right)\\arraybackslash\}p", "p", body)
        assert not set(re.sub(r"\\\w+|\$[^$]*\$", "", re.sub(r">\{.*?\}p", "", bare))) & set('#%_^\\<>|"`'), name
        layouts = re.findall(r"\\begin\{(?:tabular|longtable)\}\{@\{\}(.*)@\{\}\}", text)
        widths = [len(re.sub(r"p\{[\d.]+em\}", "p", layout)) for layout in layouts]
        counts = [len(re.findall(r"(?<!\\)&", line)) + 1 for line in body.splitlines() if line.endswith(r" \\")]
        assert widths
        assert {count for count in counts if count > 1 or 1 in widths} == set(widths), name
    assert r"\textbackslash{}section\{y\}" in tables["tables/swept.tex"]
    assert "\\section" not in tables["tables/swept.tex"]


def test_twice_the_same_bytes(sweep: Sweep, files: dict[str, bytes]) -> None:
    assert make_report_files([replace(sweep)]) == files


def test_a_report_replaces_an_older_one(tmp_path: Path, files: dict[str, bytes]) -> None:
    folder = tmp_path / "report"
    for name in ("figures/old.svg", "tables/old.csv", "figures/mine.txt", "notes.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")
    assert write_report(folder, files) == folder / "report.html"
    assert folder_of(folder) == files | {"figures/mine.txt": b"old", "notes.md": b"old"}


def test_formats_of_figures() -> None:
    files = make_report_files([planted()], ["png", "pdf"])
    names = {name for name in files if name.startswith("figures/")}
    assert {name.rpartition(".")[2] for name in names} == {"png", "pdf"}
    assert all(files[name].startswith(b"\x89PNG" if name.endswith("png") else b"%PDF") for name in names)
    assert ".png)" in files["report.md"].decode()
    assert len(Page(files["report.html"].decode()).images()) == len(names) / 2


def test_a_sweep_of_which_nothing_ended() -> None:
    text = page_of(planted(outcomes=dict.fromkeys(range(8)))).text
    assert "8 runs of 2 settings, of which 0 ended." in text
    assert "No run ended with a finite loss." in text


def test_a_task_without_accuracy_and_a_sweep_without_seeds() -> None:
    page = page_of(planted(kinds=("a", "b"), seeds=1, accuracy=False))
    assert "loss/eval<=" in page.text
    assert len(page.tables["results"].cells) == 2
    assert "last accuracy" not in page.text


def test_many_settings_are_shown_best_first() -> None:
    page = page_of(planted(kinds=[f"k{number:03}" for number in range(60)], seeds=1))
    # Six solve the task: at update 5, at 10, and four at 20, of which each has a smaller loss than the one before.
    assert [row[0] for row in page.tables["results"].cells[:4]] == ["k000", "k001", "k005", "k004"]
    assert len(page.tables["results"].cells) == 40
    assert "The first 40 of 60 rows." in page.text


def test_without_a_record_of_the_environment() -> None:
    page = page_of(replace(planted(command=[]), provenance={}))
    assert "The environment was not recorded." in page.text
    assert "The command was not recorded" in page.text


@pytest.mark.usefixtures("blank")
def test_a_changed_program_comes_with_its_patch(tmp_path: Path) -> None:
    patch = f"diff --git a/x b/x\n+{HOSTILE}\n"
    (tmp_path / "dirty.patch").write_text(patch)
    name = shorten_diff(patch)
    changed = {
        "git_commit": "2" * 40,
        "git_dirty": True,
        "git_diff": name,
        "packages": {"bptt": "0.1.0"},
    }
    files = make_report_files([replace(planted(), folder=tmp_path, provenance=changed)])
    page = Page(files["report.html"].decode())
    assert patch in page.listings
    assert files["dirty.patch"].decode() == patch
    assert "git apply dirty.patch" in "\n".join(page.listings)
    assert f"differs from the commit by the patch {name}" in page.text
    (tmp_path / "dirty.patch").write_text(patch.replace("b/x", "b/y"))
    with pytest.raises(ArchiveError, match=r"dirty\.patch: not the one that provenance\.json tells of; delete it"):
        make_report_files([replace(planted(), folder=tmp_path, provenance=changed)])


@pytest.mark.usefixtures("blank")
def test_several_sweeps_side_by_side() -> None:
    first = planted(kinds=("plain", HOSTILE), name="one", question="First?")
    second = planted(kinds=(HOSTILE, "other"), name="two", solved="loss/eval<=0.01")
    files = make_report_files([first, second])
    page = Page(files["report.html"].decode())
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert [row[1:4] for row in page.tables["sweeps"].cells] == [["one", "8", "2"], ["two", "8", "2"]]
    assert [row[0] for row in page.tables["differing"].cells] == ["model.kind"]
    (compared,) = page.tables["compared"].cells
    assert one_line(compared[2]) == one_line(f"kind={HOSTILE}")
    difference, _, _, probability, *_ = map(float, page.tables["compared"].values[0])
    # Four pairs of equal seeds.
    one, other = (sweep.runs[sweep.runs["model.kind"] == HOSTILE] for sweep in (first, second))
    assert difference == one["solved"].mean() - other["solved"].mean()
    losses = [each["loss/eval"].to_numpy() for each in (one, other)]
    assert probability == (losses[0] < losses[1]).mean() + (losses[0] == losses[1]).mean() / 2
    assert "not settled" in compared
    assert {"1_results", "2_results", "side_by_side"} <= set(page.tables)
    assert {f"figures/{n}_convergence.svg" for n in (1, 2)} <= set(files)
    assert "First?" in page.text
    assert "bptt report one two\nbptt reproduce one\nbptt reproduce two" in page.listings
    assert make_report_files([first, second]) == files


def test_infinite_losses_are_in_the_tables() -> None:
    sweep = planted(kinds=("a", "b"), outcomes={0: "diverged", 1: "diverged", 2: "diverged"})
    files = render_tables(report_single(sweep, [], []))
    assert math.isinf(frame(files, "results")["loss_median"][0])
    assert "∞" in page_of(sweep).text
    assert r"\ensuremath{\infty}" in files["tables/results.tex"].decode()
