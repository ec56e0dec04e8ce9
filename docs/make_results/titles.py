"""What the shipped sweeps are called where people read: in the site's navigation, and in the list of reports."""

from collections.abc import Mapping
from typing import Final

#: Sweep → its name for people.
TITLES: Final[Mapping[str, str]] = {
    "leftbit_hidden_size": "LEFTBIT: hidden units",
    "leftbit_momentum": "LEFTBIT: momentum",
    "eta": "Counting: Rprop's factors",
    "sentiment_clip": "Sentiment: clipping",
    "sentiment_init": "Sentiment: first weights",
    "hidden_size": "Binary addition: hidden units",
    "alpha_epsilon": "Binary addition: momentum",
    "optuna_adder": "Binary addition: a search",
    "clip_threshold": "Temporal order: clipping",
    "init_scale_spectral_radius": "Temporal order: first weights",
    "single_changes": "Temporal order: one change at a time",
    "remedies": "Remedies for gradients that vanish or explode",
    "length_temporal_order": "Temporal order by length",
    "length_adding": "Adding by length",
    "length_copying": "Copying by length",
    "predict_from_start": "What the start foretells",
    "edge_of_stability": "The edge of stability",
}
