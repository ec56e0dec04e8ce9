"""The house is in order: small files in wings, one name for one thing, verbs for functions, no name that is gone."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
FILES = sorted(SRC.rglob("*.py"))
#: Folders whose modules name each other: (folder, what stands before it in a module's name).
IMPORTED = ("src", "benchmarks", "docs/make_results", "docs/building", "docs/draw_families")

#: Beside those of choices, of which there may be as many as are wanted: each is one file and one YAML.
MOST_FILES = 349
MOST_MODULES = 25
MOST_LINES = 450

#: Functions that fill one role side by side, and why each is not one function: what they are called → where they stand.
ROLES = {
    "main": r"bptt\.cli\..*",  # of a command
    "examine": r"bptt\.doctor\..*",  # of a concern
    "sigmoid": r"bptt\.(core\.plain|core\.simd\.elementary|export\.predict)",  # of NumPy, vectors, exports
    "softmax": r"bptt\.(core\.plain|export\.predict)",  # the same; an exported model stands without bptt
    "load": r"bptt\.(python\.sweeping|core\.simd\.memory)",  # of runs, as is promised; of a vector's numbers
    "train": r"bptt\.(python\.training|core\.training)",  # as is promised, and what computes
    "reproduce": r"bptt\.(python\.commands|sweeps\.reproduce)",  # the same
}
#: Names that once were functions' and say what comes of a call, or nothing: a function says what it does.
NO_VERBS = frozenset(
    (
        *(
            "advanced",
            "allowed",
            "answered",
            "asked",
            "begun",
            "beginning",
            "checked",
            "compared",
            "composed",
            "counted",
        ),
        *("described", "drawn", "ended", "existing", "found", "given", "grouped", "held", "kept", "lacking", "left"),
        *(
            "listed",
            "loaded",
            "made",
            "mapped",
            "measured",
            "opened",
            "owned",
            "planned",
            "pooled",
            "prepared",
            "quoted",
        ),
        *("recorded", "rendered", "reopened", "repeating", "said", "saved", "scaled", "shipped", "shown", "solved"),
        *("stored", "stopping", "summed", "swept", "taken", "timed", "together", "told", "trained", "unasked"),
        *("untrusted", "varied", "visited", "written", "flattened"),
    )
)


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC if path.is_relative_to(SRC) else ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def trees() -> dict[str, ast.Module]:
    """Module → its syntax tree."""
    return {module_name(path): parse(path) for path in FILES}


def functions(tree: ast.Module) -> Iterator[str]:
    yield from (node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def choices() -> set[str]:
    """The modules of what the files in conf choose among."""
    targets = (
        re.findall(r"^_target_: *(\S+)\.\w+$", path.read_text(encoding="utf-8"), re.MULTILINE)
        for path in (ROOT / "conf").glob("*/*.yaml")
    )
    return {module for found in targets for module in found}


def test_files_are_few_and_folders_small() -> None:
    assert len(choices()) > 40
    assert choices() <= {module_name(path) for path in FILES}
    assert len(FILES) - len(choices()) <= MOST_FILES
    modules, chosen = defaultdict[Path, int](int), choices()
    for path in FILES:
        modules[path.parent] += path.name != "__init__.py" and module_name(path) not in chosen
    assert {str(folder): count for folder, count in modules.items() if count > MOST_MODULES} == {}


def test_no_file_is_long() -> None:
    lines = {module_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_class_name_is_defined_twice() -> None:
    places = defaultdict[str, list[str]](list)
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module)
    assert {name: where for name, where in places.items() if len(where) > 1 and not name.startswith("_")} == {}


def test_no_function_name_is_defined_twice_but_for_roles() -> None:
    places = defaultdict[str, list[str]](list)
    for module, tree in trees().items():
        for name in functions(tree):
            if not name.startswith("_") and not re.fullmatch(ROLES.get(name, ""), module):
                places[name].append(module)
    assert {name: where for name, where in places.items() if len(where) > 1 or name in ROLES} == {}


def test_every_role_is_filled_by_several() -> None:
    for role, where in ROLES.items():
        assert sum(role in functions(tree) for module, tree in trees().items() if re.fullmatch(where, module)) > 1, role


def test_functions_are_verbs() -> None:
    assert {
        f"{module}.{name}"
        for module, tree in trees().items()
        for name in functions(tree)
        if name.strip("_") in NO_VERBS
    } == set()


def test_there_is_no_import_cycle_anywhere() -> None:
    paths = {module_name(path): path for folder in IMPORTED for path in (ROOT / folder).rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        graph[name] = set()
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                below = {f"{node.module}.{alias.name}" for alias in node.names} & paths.keys()
                graph[name] |= below or {node.module}
        graph[name] &= paths.keys() - {name}
    list(TopologicalSorter(graph).static_order())


# Names that a text gives in full.

_DOTTED = re.compile(r"(?<![\w./-])bptt(?:\.[A-Za-z_]\w*)+")
#: What has such a name without being a module's: tags, an artifact's key, and a page's example as a part of bptt.
_NO_MODULE = re.compile(
    r"bptt\.(digest|outcome|pruned|given_up|sweep|setting\.ID|view|version|git\.dirty|core\.optimizers\.lion\.Lion)"
)


def texts() -> Iterator[tuple[str, str]]:
    """Pages, comments of choices and docstrings, by where they stand."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    pages += [*(ROOT / "conf").rglob("*.yaml"), *(ROOT / "analysis").glob("*.ipynb")]
    for path in sorted(pages):
        if "results" not in path.parts and path.name != "CHANGELOG.md":
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield module, ast.get_docstring(node) or ""


def names_in(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """What a module or a class defines, imports or assigns, also below an `if`."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (((alias.asname or alias.name), node) for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (
                (name.id, node) for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
            )
        elif isinstance(node, ast.If | ast.Try):
            yield from names_in([*node.body, *node.orelse])


def is_there(name: str) -> bool:
    """Whether a dotted name is a module's, or that of something in it."""
    if any(module.startswith(f"{name}.") for module in trees()):  # a folder
        return True
    parts = name.split(".")
    module = next(".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in trees())
    rest = parts[len(module.split(".")) :]
    if not rest:
        return True
    stub = SRC / module.replace(".", "/") / "__init__.pyi"  # of names that are imported when they are asked for
    found = dict(names_in(trees()[module].body)) | (dict(names_in(parse(stub).body)) if stub.exists() else {})
    node = found.get(rest[0])
    if node is None:
        return False
    if len(rest) > 1 and isinstance(node, ast.ClassDef):
        inside = dict(names_in(node.body))
        return rest[1] in inside or bool(node.bases)
    return True


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("bptt.load", True),
        ("bptt.analysis.sweep", True),
        ("bptt.analysis.sweep.Sweep", True),
        ("bptt.analysis.sweep.Sweep.configs", True),
        ("bptt.analysis.sweep.Sweep.nothing", False),
        ("bptt.analysis.load", False),
    ],
)
def test_a_name_is_looked_up_without_an_import(name: str, there: bool) -> None:
    assert is_there(name) == there


def test_what_texts_name_is_there() -> None:
    gone = {
        (where, name)
        for where, text in texts()
        for name in _DOTTED.findall(text)
        if not _NO_MODULE.fullmatch(name) and not is_there(name)
    }
    assert gone == set()


def test_code_in_pages_imports_what_is_there() -> None:
    gone = set()
    for where, text in texts():
        for module, names in re.findall(r"from (bptt[\w.]*) import ([\w, ]+|\([^)]*\))", text.replace('\\n",', "")):
            found = {f"{module}.{name}" for name in re.findall(r"(\w+)(?: as \w+)?", names)}
            gone |= {(where, name) for name in found if not is_there(name)}
    assert gone == set()
