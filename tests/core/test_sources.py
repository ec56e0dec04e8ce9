"""The hash of what computes: what is said changes nothing, what is computed does."""

import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bptt.core import sources
from bptt.core.sources import hash_sources, package_hash, parse_source

HELPER = """
def double(x):
    return 2.0 * x
"""
USER = """
from own.helper import double

RATE = 0.5


class Step:
    size = 3

    def __call__(self, x):
        return double(x) + RATE
"""
PROGRAM = {"own.helper": HELPER, "own.user": USER}


def hashed(**changes: str) -> str:
    return hash_sources({**PROGRAM, **{name.replace("_", "."): text for name, text in changes.items()}})


BEFORE = hashed()

SAYS = {
    "a comment": hashed(own_user=USER.replace("RATE = 0.5", "RATE = 0.5  # per second")),
    "blank lines": hashed(own_user="\n\n" + USER.replace("    size", "\n    size")),
    "a docstring of a module": hashed(own_user='"""Steps, said."""' + USER),
    "a docstring of a class": hashed(own_user=USER.replace("    size = 3", '    """One step."""\n\n    size = 3')),
    "a docstring of a function": hashed(own_helper=HELPER.replace("    return", '    """2·x."""\n    return')),
    "brackets": hashed(own_helper=HELPER.replace("2.0 * x", "(2.0) * (x)")),
    "how a number is written": hashed(own_user=USER.replace("0.5", "5e-1")),
    "a module on the way": hashed(
        own_user=USER.replace("own.helper", "own.way"), own_way="from own.helper import double"
    ),
    "an empty module": hashed(own_empty=""),
}
COMPUTES = {
    "a constant": hashed(own_user=USER.replace("0.5", "0.25")),
    "an operator": hashed(own_user=USER.replace("+ RATE", "- RATE")),
    "a helper": hashed(own_helper=HELPER.replace("2.0", "3.0")),
    "the order of fields": hashed(own_user=USER.replace("    size = 3", "    more = 1\n    size = 3")),
    "another order of fields": hashed(own_user=USER.replace("    size = 3", "    size = 3\n    more = 1")),
    "an integer for a number": hashed(own_helper=HELPER.replace("2.0", "2")),
    "a decorator": hashed(own_helper=HELPER.replace("def", "@inline\ndef")),
    "a default": hashed(own_helper=HELPER.replace("(x)", "(x=1)")),
    "a helper of the same name elsewhere": hashed(
        own_user=USER.replace("own.helper", "own.other"), own_other=HELPER.replace("2.0", "4.0")
    ),
    "an import from elsewhere": hashed(own_helper="from math import exp\n" + HELPER),
}


@pytest.mark.parametrize("said", SAYS)
def test_what_is_said_changes_nothing(said: str) -> None:
    assert SAYS[said] == BEFORE


def test_every_change_of_what_is_computed_counts() -> None:
    assert BEFORE not in COMPUTES.values()
    assert len(set(COMPUTES.values())) == len(COMPUTES)


def test_a_module_and_a_function_may_move() -> None:
    moved = {"own.deep.place": HELPER, "own.user": USER.replace("own.helper", "own.deep.place")}
    assert hash_sources(moved) == BEFORE
    together = USER.replace("from own.helper import double", HELPER)
    assert hash_sources({"own.all": together}) == BEFORE


def test_two_modules_that_import_the_same_from_elsewhere_may_become_one() -> None:
    imports = "import numpy as np\nfrom math import exp, log\n"
    one, two = "\ndef one(x):\n    return np.exp(exp(x))\n", "\ndef two(x):\n    return np.log(log(x))\n"
    apart = hash_sources({"own.one": imports + one, "own.two": imports + two})
    assert hash_sources({"own.all": imports + one + two}) == apart
    separate = "from math import log\nfrom math import exp\nimport numpy as np\n"
    assert hash_sources({"own.all": separate + one + two}) == apart
    assert hash_sources({"own.all": imports.replace("math", "cmath") + one + two}) != apart


def test_names_from_elsewhere_that_change_places_count() -> None:
    def program(first: str, second: str) -> dict[str, str]:
        use = "\ndef {0}(x):\n    return f(x)\n"
        return {
            f"own.{name}": f"from {module} import f\n{use.format(name)}"
            for name, module in (("one", first), ("two", second))
        }

    assert hash_sources(program("math", "cmath")) != hash_sources(program("cmath", "math"))


def test_two_helpers_of_one_name_that_change_places_count() -> None:
    def program(first: str, second: str) -> dict[str, str]:
        texts = {"one": f"def _f(x):\n    return x {first}\n\n\ndef one(x):\n    return _f(x)\n"}
        texts["two"] = f"def _f(x):\n    return x {second}\n\n\ndef two(x):\n    return _f(x)\n"
        return {f"own.{name}": text for name, text in texts.items()}

    assert hash_sources(program("+ 1", "- 1")) != hash_sources(program("- 1", "+ 1"))


def test_a_hash_is_kept_and_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    assert hash_sources(PROGRAM, known=tmp_path / "known") == BEFORE
    (kept,) = (tmp_path / "known").iterdir()
    other = "0" * 64
    kept.write_text(other)
    assert hash_sources(PROGRAM, known=tmp_path / "known") == other
    for damaged in (b"", b"\xff", b"0" * 63):
        kept.write_bytes(damaged)
        assert hash_sources(PROGRAM, known=tmp_path / "known") == BEFORE
    (tmp_path / "file").touch()
    assert hash_sources(PROGRAM, known=tmp_path / "file") == BEFORE


def test_every_version_of_python_finds_the_same() -> None:
    """What was found with Python 3.11; a parser of another version may note more, and must not be heard."""
    assert BEFORE[:16] == "3a5f08c88b137d89"
    text = "def f(x, /, *a, k: int = 1, **n):\n    return [y for y in x if y] if f'{k!r:>{3}} {x}' else {**n}\n"
    assert hash_sources({"own.f": text})[:16] == "420c683a1c362633"


def test_the_hash_of_a_package_is_of_its_sources_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hashed(name: str, folder: Path) -> str:
        with monkeypatch.context() as patched:
            patched.syspath_prepend(str(folder))
            return package_hash.__wrapped__(name)

    for place in ("here", "there"):
        (tmp_path / place / "own_parts").mkdir(parents=True)
        (tmp_path / place / "own_parts" / "__init__.py").write_text("x = 1\n")
        (tmp_path / place / "own_module.py").write_text("x = 1\n")
    here, there = tmp_path / "here", tmp_path / "there"
    for name, changed in (("own_parts", "own_parts/more.py"), ("own_module", "own_module.py")):
        assert len(hashed(name, here)) == 16
        assert hashed(name, here) == hashed(name, there)
        (there / changed).write_text("x = 2\n")
        assert hashed(name, here) != hashed(name, there)
    assert package_hash("no_such_package") == ""


def test_threads_may_ask_for_it_at_once() -> None:
    source = Path(sources.__file__).read_text(encoding="utf-8")
    with ThreadPoolExecutor(8) as pool:
        trees = list(pool.map(parse_source, [source] * 64))
    assert len({ast.dump(tree) for tree in trees}) == 1
