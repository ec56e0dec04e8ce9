"""What holds for all tests, whoever starts them."""

import signal

import numpy as np
import pytest

from bptt.configuration.build import checked
from bptt.configuration.compose import composed
from bptt.core.parameters import parameter_blocks
from bptt.tracking.store.connecting import set_environment

# MLflow is as quiet as the program has it, whichever test imports it first.
set_environment()
# A shell that starts the tests in its background has them, and their children, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[str]]:
    """What some choices need beside themselves: (group, choice) → overrides."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.Generator(np.random.PCG64(1))
    np.savez(folder / "data.npz", x=rng.random((5, 3, 2)), y=rng.random((5, 1)))
    run = checked(composed()).run
    blocks = parameter_blocks(run.model, run.task.inputs, run.task.outputs)
    np.savez(folder / "weights.npz", **{block.name: rng.random(block.shape) for block in blocks})  # type: ignore[arg-type]
    return {
        ("task", "arrays"): [f"task.path={folder / 'data.npz'}"],
        ("init", "file"): [f"init.path={folder / 'weights.npz'}"],
        ("loss", "cross_entropy"): ["task=sentiment"],
    }
