"""Which versions of Python and of Numba are supported is said alike everywhere."""

import re
import tomllib
from pathlib import Path

import pytest

import bptt
from bptt.core import compiler

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def bounds(requirement: str) -> tuple[int, int]:
    """The first minor version that is allowed and the first that is not."""
    found = re.fullmatch(r"[a-z]*>=\d+\.(\d+),<\d+\.(\d+)", requirement)
    assert found is not None
    return int(found[1]), int(found[2])


@pytest.mark.parametrize(
    "page",
    ["README.md", "CONTRIBUTING.md", "docs/tutorial.md", "docs/reproducibility.md", "docs/when-not.md", "Makefile"],
)
def test_pages_name_the_versions_of_python(page: str) -> None:
    first, stop = bounds(PROJECT["requires-python"])
    text = (ROOT / page).read_text(encoding="utf-8")
    assert re.search(rf"(Python|Python \|) 3\.{first} to 3\.{stop - 1}\b", text)
    if page == "Makefile":
        assert f"(3, {first}) <= sys.version_info < (3, {stop})" in text


def test_a_release_is_named_alike_everywhere() -> None:
    citation = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    heading = re.search(
        r"^## \[(\d.*?)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert citation is not None
    assert heading is not None
    assert citation[1] == heading[1] == bptt.__version__


def test_a_numba_that_is_installed_is_one_that_is_tested() -> None:
    (requirement,) = (text for text in PROJECT["dependencies"] if text.startswith("numba"))
    first, stop = bounds(requirement)
    assert " and ".join(f"0.{minor}" for minor in range(first, stop)) == compiler._TESTED
