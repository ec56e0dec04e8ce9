"""What is done where a release of Numba lacks what the quick way of compiling, or the cache on disk, is made of."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from bptt.core import compiler
from bptt.core.optimizers.momentum import Momentum
from bptt.core.run import Run
from bptt.core.training import Training
from tests.core.making import make_model, make_run

ROOT = Path(__file__).parents[2]
#: Numba has imported all of itself by then, and goes on as it was.
WITHOUT = """
import numba.core.caching, numba.core.compiler_machinery
del numba.core.caching._CacheLocator, numba.core.compiler_machinery.register_pass
"""
TRAINED = """
import sys
import numpy as np
from bptt.core.kernel import compiling_notice
from bptt.core.training import needs_compiling
from tests.core.test_compiler import small_runs, trained
print(compiling_notice())
np.savez(sys.argv[1], **trained())
print(needs_compiling([small_runs()]))
"""


def small_runs() -> list[Run]:
    model = make_model("linear", hidden_size=2)
    return [make_run(model=model, optimizer=Momentum(alpha=0.1, epsilon=0.9), seed=seed, updates=3) for seed in (1, 2)]


def trained() -> dict[str, Any]:
    """What runs side by side leave: parameters, states and history."""
    training = Training(small_runs())
    while training.advance() is not None:
        pass
    return {
        f"{lane}.{name}": values
        for lane, record in enumerate(training.records())
        for name, values in {**record.parameters, **record.history, "state": record.state}.items()
    }


def test_this_numba_lacks_nothing() -> None:
    assert compiler.lacking == []


def test_what_is_absent_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "lacking", [])
    assert compiler._has(("numba.core.codegen:JITCodeLibrary.finalize",), "it takes longer")
    assert not compiler._has(("numba.core.codegen:JITCodeLibrary.end", "numba.core.ending:End"), "it takes longer")
    assert compiler.lacking == [
        f"numba {numba.__version__} has no numba.core.codegen.JITCodeLibrary.end and no numba.core.ending,"
        " so it takes longer: bptt is tested with 0.67 and 0.68"
    ]


def test_without_what_no_kernel_can_do_without_a_command_is_refused_in_one_line(tmp_path: Path) -> None:
    code = (
        "import sys, numba, numba.core.typing.templates as templates; del templates.infer_global; import bptt.cli.main;"
        "sys.exit(bptt.cli.main.main(['train', 'task=xor']))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"numba={numba.__version__}: has no numba.core.typing.templates.infer_global, of which kernels are made:"
        " bptt is tested with 0.67 and 0.68\n"
    )


@pytest.mark.slow
def test_compiled_the_usual_way_and_kept_nowhere_kernels_give_the_same_bits(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT + TRAINED, str(tmp_path / "trained.npz")]
    environment = os.environ | {"BPTT_CACHE_DIR": str(tmp_path / "kernels"), "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"numba {numba.__version__} has no numba.core.compiler_machinery.register_pass,"
        " so compiling the kernels takes several times as long: bptt is tested with 0.67 and 0.68",
        f"numba {numba.__version__} has no numba.core.caching._CacheLocator,"
        " so every process compiles its own kernels: bptt is tested with 0.67 and 0.68",
        "compiling the kernels",
        "False",
    ]
    assert not (tmp_path / "kernels").exists()
    usual = trained()
    with np.load(tmp_path / "trained.npz") as found:
        assert found.keys() == usual.keys()
        for name, values in usual.items():
            assert np.array_equal(found[name], values, equal_nan=True), name
