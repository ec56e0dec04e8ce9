"""Imports point one way, `bptt` itself is light, and nothing in the repository names a machine or a package index."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

# A package, and what of bptt it may import; all but core may import other people's packages, mlflow excepted.
MAY_IMPORT = {
    "bptt": set[str](),
    "bptt.__main__": {"bptt.cli"},
    "bptt.printable": set[str](),
    "bptt.core": {"bptt.core"},
    "bptt.dynamics": {"bptt.dynamics", "bptt.configuration", "bptt.core"},
    "bptt.tasks": {
        "bptt.tasks",
        "bptt.core.annotations",
        "bptt.core.elementwise",
        "bptt.core.random",
        "bptt.core.records.right",
        "bptt.core.sequences",
    },
    "bptt.configuration": {"bptt", "bptt.printable", "bptt.configuration", "bptt.core", "bptt.tasks"},
    "bptt.tracking": {
        "bptt",
        "bptt.printable",
        "bptt.tracking",
        "bptt.tasks.moved",
        "bptt.tasks.own_data.preparation",
        "bptt.core",
    },
    "bptt.predictions": {
        "bptt.printable",
        "bptt.predictions",
        "bptt.tracking",
        "bptt.configuration",
        "bptt.core",
        "bptt.tasks",
    },
    "bptt.analysis": {
        "bptt",
        "bptt.printable",
        "bptt.analysis",
        "bptt.dynamics",
        "bptt.predictions",
        "bptt.tracking",
        "bptt.configuration",
        "bptt.tasks.own_data.preparation",
        "bptt.core",
    },
    "bptt.export": {
        "bptt",
        "bptt.printable",
        "bptt.export",
        "bptt.predictions",
        "bptt.tracking",
        "bptt.configuration",
        "bptt.core",
        "bptt.tasks",
    },
    "bptt.sweeps": {
        "bptt.printable",
        "bptt.sweeps",
        "bptt.analysis",
        "bptt.dynamics",
        "bptt.predictions",
        "bptt.configuration",
        "bptt.tracking",
        "bptt.core",
        "bptt.tasks",
    },
    "bptt.watch": {"bptt.printable", "bptt.watch", "bptt.analysis", "bptt.tracking"},
    "bptt.doctor": {
        "bptt",
        "bptt.printable",
        "bptt.doctor",
        "bptt.sweeps",
        "bptt.tracking",
        "bptt.configuration",
        "bptt.core",
    },
    "bptt.cli": {
        f"bptt{name}"
        for name in (
            "",
            ".printable",
            ".cli",
            ".configuration",
            ".doctor",
            ".dynamics",
            ".sweeps",
            ".analysis",
            ".export",
            ".predictions",
            ".tracking",
            ".core",
            ".watch",
        )
    },
    "bptt.sklearn": {"bptt.sklearn", "bptt.configuration", "bptt.tasks", "bptt.core"},
    "bptt.python": {
        f"bptt{name}"
        for name in (
            ".printable",
            ".python",
            ".cli",
            ".configuration",
            ".sweeps",
            ".analysis",
            ".export",
            ".predictions",
            ".dynamics",
            ".tracking",
            ".core",
            ".tasks",
            ".watch",
        )
    },
    "hydra_plugins": {"bptt.sweeps", "bptt.configuration"},
}
# Whatever hangs on another program's ways is in one place.
ONLY_IN = {
    "mlflow": {"bptt.tracking", "bptt.export"},
    "hydra": {"bptt.configuration", "bptt.sweeps", "bptt.cli", "bptt.python", "hydra_plugins"},
    "optuna": {"bptt.sweeps", "bptt.analysis"},
    "distributed": {"bptt.sweeps"},
    "dask_jobqueue": {"bptt.sweeps"},
    "ray": {"bptt.sweeps"},
    "sklearn": {"bptt.sklearn"},
    "onnx": {"bptt.export", "bptt.cli", "bptt.python"},
}
INNER_NUMBA = re.compile(r"numba\.(?!(types|extending|TypingError|njit|intrinsic|config|__version__)\b)")
CORE_STANDS_ON = {"numpy", "numba", "llvmlite", "scipy", "platformdirs"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every module that is imported anywhere in a file."""
    return tuple(_find_imports(path))


def _find_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from (submodules & MODULES.keys()) or {node.module}


def within(module: str, packages: set[str]) -> bool:
    return any(module == package or (package != "bptt" and module.startswith(f"{package}.")) for package in packages)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    package = next(name for name in sorted(MAY_IMPORT, reverse=True) if within(module, {name}))
    for imported in imports(MODULES[module]):
        top = imported.partition(".")[0]
        if top in ("bptt", "hydra_plugins"):
            assert within(imported, MAY_IMPORT[package]), f"{module} imports {imported}"
        elif package == "bptt.core":
            assert top in CORE_STANDS_ON | sys.stdlib_module_names, f"{module} imports {imported}"
        else:
            assert package in ONLY_IN.get(top, {package}), f"{module} imports {imported}"


def test_every_package_has_its_place_and_none_is_above_itself() -> None:
    found = {".".join(module.split(".")[: 2 if module.startswith("bptt.") else 1]) for module in MODULES}
    assert found == MAY_IMPORT.keys()
    above = {
        package: {name for name in MAY_IMPORT if name != package and any(within(other, {name}) for other in allowed)}
        for package, allowed in MAY_IMPORT.items()
        if package != "bptt"
    }
    list(TopologicalSorter({name: others - {"bptt"} for name, others in above.items()}).static_order())


def test_one_module_takes_from_within_numba_what_it_does_not_document() -> None:
    """`numba.types` and `numba.extending` are documented."""
    inner = {module for module, path in MODULES.items() for name in imports(path) if INNER_NUMBA.match(name)}
    assert inner == {"bptt.core.compiler"}


def test_there_is_no_import_cycle() -> None:
    graph = {module: set(imports(path)) & MODULES.keys() - {module} for module, path in MODULES.items()}
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", ["bptt", "bptt.cli.main", "bptt.cli.hydra_app"])
def test_import_is_light(module: str) -> None:
    heavy = {"mlflow", "matplotlib", "numba", "pandas", "scipy", "seaborn"}
    code = f"import sys, {module}; print(*({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_no_machine_and_no_package_index_is_named() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    index = r"index[-_]url|https?://[^ \"]*/simple(/|\"|$)|https?://[^ \"]*\.(whl|tar\.gz)"
    machine = r"(^|[^\w.])/(work|root|home)/[a-z.]"
    pattern = re.compile(f"{index}|{machine}", re.MULTILINE)
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path == Path(__file__) or not path.is_file():  # the patterns stand here
            continue
        assert not pattern.search(path.read_bytes().decode("utf-8", "ignore")), name


#: A call of Arrow's that would start threads of its own, and what keeps it from that.
THREADS = {"ParquetFile": "pre_buffer", "read_table": "use_threads", "to_pandas": "use_threads"}


def test_arrow_starts_no_threads() -> None:
    """Where no thread can be started, as without memory, Arrow ends the whole process."""
    found = set()
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                given = {keyword.arg for keyword in node.keywords}
                owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
                if node.func.attr in THREADS and THREADS[node.func.attr] not in given:
                    found.add(f"{module}: {node.func.attr} without {THREADS[node.func.attr]}=False")
                if owner == "pq" and node.func.attr == "read_table":
                    found.add(f"{module}: pq.read_table")
    assert found == set()
