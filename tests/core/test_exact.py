"""What core and tasks take from NumPy and from Python's mathematics gives the same bits everywhere."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src/bptt"
SOURCES = sorted(path for folder in ("core", "tasks") for path in (ROOT / folder).rglob("*.py"))
#: Nothing recorded is computed here: the plain statement of the mathematics, its check, and files that are read.
NOT_RECORDED = {"core/plain.py", "core/gradcheck.py"}

#: Of NumPy: making, moving, comparing and counting; what IEEE 754 says to the bit; and what is said beside it.
EXACT = {
    *(
        "array",
        "asarray",
        "ascontiguousarray",
        "empty",
        "zeros",
        "ones",
        "full",
        "arange",
        "eye",
        "stack",
        "concatenate",
        "searchsorted",
    ),
    *(
        "append",
        "tile",
        "repeat",
        "broadcast_to",
        "broadcast_arrays",
        "atleast_1d",
        "take_along_axis",
        "put_along_axis",
        "flatnonzero",
    ),
    *("argwhere", "where", "unique", "isin", "unpackbits", "lib", "sort", "bincount", "count_nonzero"),
    *("isnan", "isinf", "isfinite", "array_equal", "maximum", "abs", "clip", "errstate"),
    *("rint", "around", "divide", "sqrt"),
    "cumsum",  # adds one number after the other
    "random",  # PCG64's words, SeedSequence and the legacy RandomState, all of which NumPy promises
    *(
        "load",
        "ndarray",
        "dtype",
        "integer",
        "float64",
        "int64",
        "uint64",
        "uint8",
        "bool_",
        "nan",
        "inf",
        "__version__",
    ),
    "linspace",  # which examples are shown
    *("diff", "median"),  # a difference, and a middle value or half a sum of two
    "minimum",
    "zeros_like",
}
#: Of Python's: whole numbers and powers of two, and the square root.
EXACT_MATH = {"prod", "ceil", "floor", "frexp", "ldexp", "sqrt"}
#: Methods that add floating-point numbers in an order of NumPy's, and where what they add is whole numbers.
SUMS = {"sum", "mean", "var", "std", "dot", "prod", "cumprod"}
WHOLE = {
    "tasks/languages/counting.py": "bits, counted",
    "tasks/memory/flip_flop.py": "shares of what is right, counted",
    "tasks/memory/temporal_order.py": "numbers of classes",
    "tasks/own_data/tables.py": "rows without a value, counted",
    "tasks/own_data/table_layout.py": "steps of time, counted",
    "tasks/series/sine.py": "the error that is shown at the end",
    "tasks/languages/adder.py": "bits, counted",
    "core/regularizers/l2.py": "the plain statement that the gradient check differentiates",
}


def find_others(source: str, name: str) -> Iterator[str]:
    """What a source takes that is on none of the lists: lines, for people."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            lists = {"np": EXACT, "numpy": EXACT, "math": EXACT_MATH}
            if node.value.id in lists and node.attr not in lists[node.value.id]:
                yield f"{name}:{node.lineno}: {node.value.id}.{node.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and name not in WHOLE:
            module = isinstance(node.func.value, ast.Name) and node.func.value.id in ("np", "math")
            if node.func.attr in SUMS and not module:
                yield f"{name}:{node.lineno}: .{node.func.attr}()"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            yield f"{name}:{node.lineno}: @"
        if isinstance(node, ast.ImportFrom | ast.Import):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if any(module.partition(".")[0] == "scipy" for module in modules):
                yield f"{name}:{node.lineno}: scipy"


def test_nothing_is_taken_that_another_machine_may_compute_otherwise() -> None:
    found = [
        line
        for path in SOURCES
        if (name := path.relative_to(ROOT).as_posix()) not in NOT_RECORDED
        for line in find_others(path.read_text(encoding="utf-8"), name)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "np.log(x)",
        "np.linalg.qr(x)",
        "a @ b",
        "x.sum()",
        "math.exp(1.0)",
        "np.dot(a, b)",
        "from scipy import linalg",
        "x.mean(axis=0)",
    ],
)
def test_the_check_finds_what_it_looks_for(line: str) -> None:
    assert len([*find_others(f"import numpy as np\n{line}\n", "core/some.py")]) == 1


@pytest.mark.parametrize("name", WHOLE)
def test_every_exception_is_needed(name: str) -> None:
    found = [*find_others((ROOT / name).read_text(encoding="utf-8"), "another")]
    assert [line for line in found if line.endswith("()")] != []


def test_every_call_on_the_list_is_used() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    assert [name for name in EXACT if f"np.{name}" not in text] == []
    assert [name for name in EXACT_MATH if f"math.{name}" not in text] == []
