import pandas as pd
import pytest
from matplotlib.colors import to_hex

from bptt.analysis.figures import draw_variance_bars
from bptt.analysis.style import BLUE, GREY
from tests.analysis.figures.swept import drawable


def test_each_source_has_a_bar() -> None:
    shares = pd.DataFrame({"source": ["alpha", "epsilon", "interactions", "seed"], "share": [0.5, 0.25, 0.05, 0.2]})
    (axes,) = drawable(draw_variance_bars(shares)).axes
    assert [bar.get_extents().transformed(axes.transData.inverted()).width for bar in axes.patches] == pytest.approx(
        [50, 25, 5, 20]
    )
    assert [text.get_text() for text in axes.get_yticklabels()] == shares["source"].tolist()
    assert [text.get_text() for text in axes.texts] == ["50 %", "25 %", "5 %", "20 %"]
    # What was chosen is told apart from what was not.
    assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == [BLUE, BLUE, GREY, GREY]
