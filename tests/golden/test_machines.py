"""The table's bits on an emulated ARM processor, with vectors of every width, another BLAS, and the oldest NumPy."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import llvmlite.binding
import pytest

from tests.golden.runs import list_choices

ROOT = Path(__file__).parents[2]
WIDEST = 8 if llvmlite.binding.get_host_cpu_features().get("avx512f", False) else 4
OLDEST = "numpy==2.1.0"  # pyproject.toml

pytestmark = pytest.mark.slow


def check(**variables: str) -> str:
    """What `python -m tests.golden --check` says in such an environment, where it finds the table's bits."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden", "--check"],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(list_choices())
    assert done.stdout.startswith(f"{count} of {count} runs have the table's bits")
    return done.stdout


@pytest.mark.parametrize("width", [2, 4, 8])
def test_vectors_of_every_width(width: int) -> None:
    if width > WIDEST:
        pytest.skip(f"this processor has no vectors of {width}")
    assert f"vectors of {width}" in check(BPTT_SIMD_WIDTH=str(width))


def test_another_processors_blas_and_two_threads() -> None:
    check(OPENBLAS_CORETYPE="Nehalem", OPENBLAS_NUM_THREADS="2", NPY_DISABLE_CPU_FEATURES="AVX2 FMA3 AVX512F")


def test_the_oldest_numpy(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), OLDEST]
    if sys.version_info >= (3, 14):
        pytest.skip(f"{OLDEST} has no wheel for this Python")
    subprocess.run(install, check=True, timeout=300)
    said = check(PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT / "src")]), PYTHONDONTWRITEBYTECODE="1")
    assert "NumPy 2.1.0" in said


def test_an_emulated_arm_processor() -> None:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        pytest.skip("it is set up on x86-64 alone")
    every = 40  # kernels are compiled for minutes there; `make test-arm` takes all
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden.arm", "--every", str(every)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode == 2:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(list_choices()[::every])
    assert f"{count} of {count} runs have the table's bits (aarch64, " in done.stdout
