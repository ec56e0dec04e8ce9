"""What is done where a release of Numba lacks what the quick way of compiling, or the cache on disk, is made of."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from bptt.core import compiler
from bptt.core.optimizers.adam import Adam
from bptt.core.sequences import Floats
from tests.core.calling import Steps

ROOT = Path(__file__).parents[2]
#: Numba has imported all of itself by then, and goes on as it was.
WITHOUT = """
import numba.core.caching, numba.core.compiler_machinery
del numba.core.caching._CacheLocator, numba.core.compiler_machinery.register_pass
"""
STEPS = """
import sys
import numpy as np
from bptt.core.kernel import compiling_notice
from bptt.core.optimizers.adam import adam
from tests.core.test_compiler import steps
print(compiling_notice())
np.save(sys.argv[1], steps())
print(any(adam.is_kept(mode) for mode in adam.signatures))
"""


def steps() -> Floats:
    """The parameters after each of some steps of Adam."""
    rng = np.random.Generator(np.random.PCG64(5))
    component = Adam(alpha=0.01, beta1=0.9, beta2=0.999, small_constant=1e-8)
    hyper = [getattr(component, name) for name in component.kernel.hyper]
    stepping = Steps(component, hyper, rng.standard_normal(7))
    return np.array([stepping.step(rng.standard_normal(7)) for _ in range(5)])


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
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"numba={numba.__version__}: has no numba.core.typing.templates.infer_global, of which kernels are made:"
        " bptt is tested with 0.67 and 0.68\n"
    )


def test_compiled_the_usual_way_and_kept_nowhere_a_kernel_gives_the_same_bits(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT + STEPS, str(tmp_path / "steps.npy")]
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
    assert not list(tmp_path.rglob("*.nb?"))
    assert np.array_equal(np.load(tmp_path / "steps.npy"), steps())
