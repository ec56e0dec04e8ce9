"""What a report needs, imported while workers train: at a sweep's end it would take a second or two."""

import importlib


def import_what_a_report_needs() -> None:
    """Import what takes long; imported again it takes no time."""
    for name in ("scipy.stats", "matplotlib.figure", "seaborn", "bptt.analysis.figures"):
        importlib.import_module(name)
