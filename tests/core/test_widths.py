"""What holds for vectors of this processor's width holds at the others: each in a process that compiles all anew."""

import subprocess
import sys
from pathlib import Path

import llvmlite.binding
import pytest

from bptt.core.simd import WIDTH
from tests.core.test_bits import environment

TESTS = Path(__file__).parents[1]
WIDTHS = [2, 4, 8] if llvmlite.binding.get_host_cpu_features().get("avx512f", False) else [2, 4]
#: File → which of its tests: one cell with all settings, others with some, and the whole table of golden bits.
NEXT = {
    "core/test_simd.py": "not key and not anew and not refused",
    "core/test_bits.py": "(elman and not process) or again or recording or early or (optimizer and adam)",
    "core/test_shapes.py": "same_bits or (diverge and batches) or left_out or goes_on or pays or (gru and lanes)",
    "golden/test_golden.py": "bits",
}
#: Those of them that are slow for their number alone.
CHOSEN = "not slow or slow(widths=True)"
#: Of a width that is not the next one: the vocabulary of vectors, and the golden bits of one cell.
BEYOND = {"core/test_simd.py": NEXT["core/test_simd.py"], "golden/test_golden.py": "bits and jordan"}


@pytest.mark.slow(seconds=150)
@pytest.mark.parametrize("width", [width for width in WIDTHS if width != WIDTH])
def test_the_same_holds_at_another_width(width: int) -> None:
    chosen = NEXT if width in (WIDTH // 2, WIDTH * 2) else BEYOND
    named = " or ".join(f"({Path(name).name} and ({tests}))" for name, tests in chosen.items())
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", CHOSEN, "-k", named]
    done = subprocess.run(
        [*command, *(str(TESTS / name) for name in chosen)],
        env=environment(BPTT_SIMD_WIDTH=str(width)),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert " passed" in done.stdout
