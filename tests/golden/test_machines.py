"""The table's bits with another BLAS, with the oldest NumPy, and on an emulated ARM processor.

Vectors of other widths are `core.test_widths`' matter.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import arm
from tests.golden.runs import choose

ROOT = Path(__file__).parents[2]
OLDEST = "numpy==2.1.0"  # pyproject.toml
#: One cell meets every task, init and optimizer; cells themselves compute with neither NumPy nor BLAS.
ONLY = "model=linear"


def check(**variables: str) -> str:
    """What `python -m tests.golden --check` says in such an environment, where it finds the table's bits."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden", "--check", "--only", ONLY],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(choose(ONLY, 1))
    assert count > 10
    assert done.stdout.startswith(f"{count} of {count} runs have the table's bits")
    return done.stdout


@pytest.mark.slow
def test_another_processors_blas_and_two_threads() -> None:
    check(OPENBLAS_CORETYPE="Nehalem", OPENBLAS_NUM_THREADS="2", NPY_DISABLE_CPU_FEATURES="AVX2 FMA3 AVX512F")


@pytest.mark.slow(seconds=60)
def test_the_oldest_numpy(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), OLDEST]
    if sys.version_info >= (3, 14):
        pytest.skip(f"{OLDEST} has no wheel for this Python")
    subprocess.run(install, check=True, timeout=300)
    said = check(PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT / "src")]), PYTHONDONTWRITEBYTECODE="1")
    assert "NumPy 2.1.0" in said


@pytest.mark.slow(seconds=80)
def test_an_emulated_arm_processor() -> None:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        pytest.skip("it is set up on x86-64 alone")
    # One cell's runs, which meet every other choice; `make test-arm` takes all. Where this Python can't compile for the
    # emulated one, which takes minutes for each kernel, one run is all.
    only, every = "model=gru", 1 if sys.version_info[:2] == arm.PYTHON else 1000
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden.arm", "--only", only, "--every", str(every)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode == 2:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(choose(only, every))
    assert f"{count} of {count} runs have the table's bits (aarch64, " in done.stdout
