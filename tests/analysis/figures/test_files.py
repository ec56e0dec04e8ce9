import io
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from bptt.analysis.figures import draw_convergence, draw_flow_map, save_figure
from tests.analysis.figures.swept import sweep_of

KINDS: tuple[Literal["png", "svg", "pdf"], ...] = ("png", "svg", "pdf")


def figure() -> Figure:
    return draw_convergence(*sweep_of(model__hidden_size=np.repeat([2, 4, 8], 4)).given)


def saved(of: Figure, kind: Literal["png", "svg", "pdf"]) -> bytes:
    buffer = io.BytesIO()
    save_figure(of, buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_that_is_made_again_is_the_same_file(kind: Literal["png", "svg", "pdf"]) -> None:
    assert saved(figure(), kind) == saved(figure(), kind)


def test_formats_do_not_depend_on_each_other() -> None:
    one = figure()
    assert [saved(one, kind) for kind in KINDS] == [saved(figure(), kind) for kind in KINDS]


def test_no_date_and_no_version_are_written() -> None:
    import matplotlib

    for kind in KINDS:
        content = saved(figure(), kind)
        assert not re.search(rb"CreationDate|<dc:date>|Software", content)
        assert matplotlib.__version__.encode() not in content


def test_an_svg_has_its_text_as_text() -> None:
    svg = saved(figure(), "svg").decode()
    assert ">evaluation loss</text>" in svg
    assert len(svg) < 60_000


def test_what_is_dense_is_a_picture_in_an_svg() -> None:
    sweep = sweep_of(4)
    svg = saved(draw_flow_map(sweep.gradient_flow, sweep.runs, sweep.swept), "svg").decode()
    assert svg.count("data:image/png;base64") == 2  # the map, and the bar of its colours


def test_a_png_has_the_dots_per_inch_that_were_asked_for(tmp_path: Path) -> None:
    save_figure(figure(), tmp_path / "a.png", "png", dpi=100)
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (340, 260)


def test_a_name_in_letters_that_the_font_lacks_is_no_warning() -> None:
    made = Figure()
    made.subplots().set_title("日本")
    assert "日本" in saved(made, "svg").decode()
    assert saved(made, "png")
