"""A part of a report that can't be made is named in its place; the others are there."""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from bptt.analysis import figures
from bptt.analysis.report import contents, writing
from bptt.analysis.report.document import ShownTable
from bptt.analysis.report.sections import results
from bptt.analysis.report.writing import make_report_files
from bptt.cli import report
from tests import drawing
from tests.analysis.report.parsed import Page
from tests.analysis.report.planted import planted
from tests.bad_input.case import outcome
from tests.recording import archived


def raising(*_given: Any, **_more: Any) -> Any:
    raise OverflowError("too large\nby far")


def draw_nothing(_material: Any) -> Iterator[Any]:
    yield from raising()


class Frame:
    """A table that can't be written."""

    def __getattr__(self, name: str) -> Any:
        raise OverflowError(f"too large: {name}")


def _figure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(figures, "_IN_ORDER", (figures._IN_ORDER[0], draw_nothing, *figures._IN_ORDER[1:]))


def _picture(patch: pytest.MonkeyPatch) -> None:
    make = writing._draw_images
    patch.setattr(writing, "_draw_images", lambda one, kinds: raising() if one.name == "survival" else make(one, kinds))


def _section(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(contents, "write_troubles", raising)


def _answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(contents, "write_in_short", raising)


def _table(patch: pytest.MonkeyPatch) -> None:
    made = results.write_settings_table
    patch.setattr(
        contents,
        "write_settings_table",
        lambda findings: ShownTable("results", "Results by setting", (), cast("Any", Frame()), made(findings).columns),
    )


PARTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "a figure": (_figure, "The figure “nothing” can't be shown: OverflowError: too large by far"),
    "a picture": (_picture, "The figure “survival” can't be shown: OverflowError: too large by far"),
    "a section": (_section, "The section “Failures and divergences” can't be shown: OverflowError: too large by far"),
    "the answer": (_answer, "The section “Answer” can't be shown: OverflowError: too large by far"),
    "a table": (_table, "The table “Results by setting” can't be shown: OverflowError: too large: "),
}


@pytest.fixture(scope="module")
def whole() -> dict[str, bytes]:
    with drawing.blank():
        return make_report_files([planted()])


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_can_not_be_made_is_named_in_its_place(
    part: str, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, says = PARTS[part]
    prepare(monkeypatch)
    missing: list[str] = []
    files = make_report_files([planted()], missing=missing)
    assert [line for line in missing if "\n" not in line and line.startswith(says)] == missing != []
    page = Page(files["report.html"].decode())
    assert page.text.count(missing[0]) == 1
    assert missing[0].partition(":")[0] in files["report.md"].decode().replace("\\", "")
    sections = [
        [found["id"] for tag, found in Page(one["report.html"].decode()).tags if tag == "section"]
        for one in (whole, files)
    ]
    assert sections[0] == sections[1]
    lost = {"a picture": {"figures/survival.svg"}, "a table": {"tables/results.csv", "tables/results.tex"}}
    assert {*whole} - {*files} == lost.get(part, set())


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize("part", ["a figure", "a section"])
def test_several_sweeps_in_one_report(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, says = PARTS[part]
    prepare(monkeypatch)
    missing: list[str] = []
    files = make_report_files([planted(), planted(name="another")], missing=missing)
    assert len(missing) == 2
    assert Page(files["report.html"].decode()).text.count(says) == 2


@pytest.mark.usefixtures("blank")
def test_the_command_tells_of_it_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = archived(tmp_path / "sweep").folder
    _figure(monkeypatch)
    assert report.main([str(folder)]) == 1
    told = capsys.readouterr()
    assert re.fullmatch(f"{re.escape(str(folder))}/report/report.html\nresults sha256 [0-9a-f]{{16}}\n", told.out)
    assert told.err == "The figure “nothing” can't be shown: OverflowError: too large by far\n"


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize(
    ("code", "says", "lost"),
    [
        (
            0,
            "the report: the section “Failures and divergences” can't be shown: OverflowError: too large by far",
            False,
        ),
        (1, "the report can't be made: OverflowError(", True),
    ],
)
def test_the_end_of_a_sweep_tells_of_it(
    code: int, says: str, lost: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if lost:
        monkeypatch.setattr("bptt.analysis.report.writing.make_report_files", raising)
    else:
        _section(monkeypatch)
    small = ["task=xor", "task.length=3", "train.updates=2", "model.hidden_size=2", "tracking.enabled=false"]
    found = outcome(["train", "-m", *small, "seed=1,2", "hydra.sweep.dir=s", "hydra.launcher.workers=1"])
    assert [line for line in found.lines if line.startswith(says)]
    assert (found.code, Path("s/report/report.html").exists()) == (code, not lost)


@pytest.mark.usefixtures("blank")
def test_a_file_of_a_run_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["task=xor", "task.length=3", "train.updates=2", "model.hidden_size=2", "tracking.enabled=false"]
    assert outcome(["train", *small, "hydra.run.dir=r"]).code == 0
    flow = tmp_path / "r" / "gradient_flow.parquet"
    flow.unlink()
    found, gone = outcome(["report", "./r"]), f"{flow}: is missing; the run left it; "
    assert (found.code, len(found.lines)) == (1, 1)
    assert found.lines[0].startswith(f"The figure “flow” can't be shown: ArchiveError: {gone}")
    assert gone in Page(Path("r/report/report.html").read_text(encoding="utf-8")).text
    found = outcome(["reproduce", "./r"])
    assert found.code == 1
    assert f"not compared: xor elman seed=0: {gone}" in found.output


#: Losses of a run at an update, in a report that must be whole.
LOSSES: dict[str, Callable[[int, int], float]] = {
    "near 1e300": lambda run, update: 1e300 / (run + update),
    "the largest number": lambda _run, _update: 1.7e308,
    "from the least to the largest": lambda run, _update: 10.0 ** (-300 + 600 * run / 7),
    "denormal": lambda _run, _update: 1e-320,
    "zero": lambda _run, _update: 0.0,
    "zero and 1e300": lambda run, _update: 1e300 * (run % 2),
    "infinite": lambda _run, _update: math.inf,
    "nan": lambda _run, _update: math.nan,
    "negative": lambda run, _update: -1e300 * run,
}


def _assert_whole(losses: Callable[[int, int], float]) -> None:
    missing: list[str] = []
    make_report_files([planted(losses=losses)], missing=missing)
    assert missing == []


def test_a_report_of_losses_from_the_least_to_the_largest_number_is_whole() -> None:
    _assert_whole(LOSSES["from the least to the largest"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("kind", sorted(LOSSES.keys() - {"from the least to the largest"}))
def test_a_report_of_extreme_losses_is_whole(kind: str) -> None:
    _assert_whole(LOSSES[kind])


@pytest.mark.parametrize("ends", [(1e-306, 1e306), (1e-320, 1e308), (1e305, 1e306), (1e-306, 1e-305), (1e300, 1e300)])
def test_a_logarithmic_axis_of_any_numbers_can_be_drawn(ends: tuple[float, float]) -> None:
    from io import BytesIO

    from matplotlib.figure import Figure

    from bptt.analysis.figures.panels import Window

    window = Window.around(np.array(ends))
    assert window is not None
    assert 0 < window.low <= window.high < math.inf
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], window.mask(np.array(ends)))
    window.apply(axes)
    low, high = axes.get_ylim()
    assert 0 < low < window.low <= window.high < high < math.inf
    figures.save_figure(figure, BytesIO(), "svg")
