"""Networks with random weights that predict, and how their data were prepared."""

from typing import Any

import numpy as np

from bptt.core.parameters import list_parameters, parameter_count, to_named
from bptt.predictions.predictor import PredictingNetwork
from bptt.predictions.tables import Meaning
from bptt.tasks.own_data.cutting import Cutting
from bptt.tasks.own_data.preparation import Preparation
from tests.core.making import LOSSES, make_model


def make_preparation(
    inputs: tuple[str, ...] = ("a", "b"), classes: Any = None, outputs: int = 1, **changes: Any
) -> Preparation:
    """Inputs around 10 with a spread of 2; targets around 100 with a spread of 5."""
    names = ("y",) if classes is not None or outputs == 1 else tuple(f"y{place}" for place in range(outputs))
    moved = classes is None
    values: dict[str, Any] = {
        "inputs": inputs,
        "input_mean": (10.0,) * len(inputs),
        "input_scale": (2.0,) * len(inputs),
        "targets": names,
        "target_mean": (100.0 if moved else 0.0,) * outputs,
        "target_scale": (5.0 if moved else 1.0,) * outputs,
        "classes": classes,
        "kind": "numbers" if classes is None else "classes",
    }
    return Preparation(**(values | changes))


def make_cutting(**changes: Any) -> Cutting:
    values: dict[str, Any] = {"row": "timestep", "inputs": ("a", "b"), "targets": ("y",)}
    return Cutting(**(values | changes))


def make_predictor(
    preparation: Preparation | None, last_only: bool = True, readout: str = "identity", inputs: int = 2
) -> PredictingNetwork:
    """A network of 4 units whose weights are drawn from a fixed seed."""
    outputs = 1 if preparation is None else len(preparation.target_mean)
    model = make_model("gru", readout=readout)
    blocks = list_parameters(model, inputs, outputs)
    rng = np.random.Generator(np.random.PCG64(1))
    meaning = Meaning(targets=("",), classes=None, score="score", preparation=None)
    return PredictingNetwork(
        name="run",
        model=model,
        loss=LOSSES["squared_error"](weight=1.0),
        inputs=inputs,
        outputs=outputs,
        last_only=last_only,
        weights=to_named(blocks, 0.7 * rng.standard_normal(parameter_count(blocks))),
        state=None,
        meaning=meaning if preparation is None else Meaning.prepared(preparation, readout),
    )
