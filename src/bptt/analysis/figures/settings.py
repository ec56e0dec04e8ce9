"""The key figure over conditions: how often each setting solved its task; settings are rows, conditions columns."""

from typing import TYPE_CHECKING, Final

import numpy as np

from bptt.analysis.factors import Factor, combine_factors, combine_keys
from bptt.analysis.figures.maps import draw_factor_map, fill_cells
from bptt.analysis.figures.material import Material, SweepFigure, write_digits
from bptt.analysis.figures.metrics import SOLVED
from bptt.analysis.tables import drop_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_SETTINGS: Final = 16  # rows
_MOST_CONDITIONS: Final = 10  # columns


def combine_settings(material: Material) -> tuple[Factor, Factor] | None:
    """The conditions and the settings, each as one factor, where several keys make a setting and they are not many."""
    harder = [factor for factor in material.factors if factor.key in material.sweep.conditions]
    others = [factor for factor in material.factors if factor not in harder]
    if not harder or len(others) < 2:
        return None
    keys = [key for key in drop_seed(material.sweep.swept) if key not in material.sweep.conditions]
    across, up = combine_factors(harder, len(material.ended)), combine_keys(material.ended, keys)
    return (across, up) if len(up.levels) <= _MOST_SETTINGS and len(across.levels) <= _MOST_CONDITIONS else None


def draw_settings(material: Material, across: Factor, up: Factor, meaning: str) -> SweepFigure:
    """The map; meaning: a sentence on when a run has solved its task."""
    shares = fill_cells(material.ended, across, up, SOLVED)
    where = across.name or "condition"
    return SweepFigure(
        name="success_map",
        figure=draw_factor_map(material.ended, across, up, SOLVED),
        title=f"Solved runs by setting and {where}",
        caption=(
            f"The share of runs that solved their task, for each setting (rows) and {where} (columns); grey where"
            f" nothing was run. {meaning} {material.note}"
        ),
        alt=(
            f"Heat map of solved runs in percent, {where} across and settings up: "
            f"{describe_cells(shares, across, up, ' %')}."
        ),
    )


def describe_cells(table: "NDArray[np.float64]", across: Factor, up: Factor, unit: str = "") -> str:
    """The least and the largest of a map."""

    def told(place: int) -> str:
        row, column = np.unravel_index(place, table.shape)
        where = ", ".join(
            f"{factor.name} {text}".strip() for factor, text in ((across, across.texts[column]), (up, up.texts[row]))
        )
        return f"{write_digits(table[row, column])}{unit} ({where})"

    return f"from {told(int(np.nanargmin(table)))} to {told(int(np.nanargmax(table)))}"
