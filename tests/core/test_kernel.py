"""Where kernels are kept, and what happens where nothing can be."""

import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.caching import CacheImpl

from bptt.core.clips.none import no_clip
from bptt.core.kernel import LANES, UNITS, Kernel, kernel_folder


def _fresh() -> Kernel:
    return Kernel(no_clip.dispatcher.py_func, no_clip.signatures)


def test_a_kernel_is_kept_in_one_folder_under_its_module_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BPTT_CACHE_DIR", str(tmp_path))
    # Numba looks for a folder beside the sources or in the user's home; an image may have neither.
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    kernel = _fresh()
    assert not kernel.is_ready(UNITS)
    kernel.compile(UNITS)
    assert kernel.is_ready(UNITS)
    again = _fresh()
    assert (again.is_ready(UNITS), again.is_ready(LANES)) == (True, False)
    again.compile(UNITS)
    assert again.dispatcher.stats.cache_hits == {again.signatures[UNITS]: 1}
    assert {path.name.split("-")[0] for path in kernel_folder().iterdir()} == {"none.no_clip"}
    assert all("bptt.core.clips.none" in path.name for path in kernel_folder().iterdir())


def test_where_nothing_can_be_kept_it_is_compiled_for_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BPTT_CACHE_DIR", str(tmp_path / "file"))
    kernel = _fresh()
    assert kernel.address(UNITS) != 0
    assert (kernel.is_ready(UNITS), kernel.is_kept(UNITS)) == (True, False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


OWN = """
from own.helping import factor

from bptt.core.kernel import CLIP, UNITS
from bptt.core.simd import load, store


@CLIP()
def scaled(gradient, count, hyper):
    store(gradient, 0, load(gradient, 0) * factor() * 2.0)
    return load(gradient, 0)


print(scaled.is_kept(UNITS))
scaled.compile(UNITS)
"""
HELPING = """
from bptt.core.simd import inline


@inline
def factor():
    return 1.0
"""


@pytest.mark.slow
def test_another_package_s_kernel_is_compiled_anew_where_any_of_its_sources_was_changed(tmp_path: Path) -> None:
    """Numba's own key knows neither a function's constants nor its helpers."""

    def kept() -> str:
        run = [sys.executable, "-c", "import own.clip"]
        environment = {"PYTHONPATH": str(tmp_path), "BPTT_CACHE_DIR": str(tmp_path / "kernels")}
        return subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout.split()[0]

    package = tmp_path / "own"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "clip.py").write_text(OWN)
    (package / "helping.py").write_text(HELPING)
    assert (kept(), kept()) == ("False", "True")
    (package / "clip.py").write_text(OWN.replace("2.0", "3.0"))
    assert (kept(), kept()) == ("False", "True")
    (package / "helping.py").write_text(HELPING.replace("1.0", "4.0"))
    assert (kept(), kept()) == ("False", "True")
    (package / "clip.py").write_text(OWN)
    (package / "helping.py").write_text(HELPING)
    assert kept() == "True"
