"""What computes, as one hash: a hash of syntax trees, whatever their comments say and whichever files they lie in.

Every statement at the top of a module counts by its syntax tree without docstrings, and by those of the definitions
that it names; what a program imports from elsewhere counts once. So a comment, a docstring, a blank line, an import's
form, a file that moves and two that become one change nothing; a constant, an operator or a helper does. The hash does
not depend on the version of Python that parses.
"""

import ast
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

# What Python notes beside the program: places in the text, how a string was written, whether a name is read or bound.
_BESIDE = frozenset({"lineno", "col_offset", "end_lineno", "end_col_offset", "kind", "type_comment", "ctx"})
# How hashes are made: those that an earlier version kept are not taken for today's.
_FORM = 2
_PARSING = threading.Lock()

_WITH_DOCSTRING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def parse_source(source: str) -> ast.Module:
    """The syntax tree of a module; by one thread at a time, as Python 3.11 counts the depth of all trees together."""
    with _PARSING:
        return ast.parse(source)


def hash_sources(modules: Mapping[str, str], known: Path | None = None) -> str:
    """The hash of a program, as 64 hexadecimal characters.

    modules  a module's name in full → its source text; they are of one package
    known    a folder that keeps the hashes of texts that were parsed before, since parsing takes half a second; it is
             made where the one above it is there

    Raises SyntaxError where a text is no Python.
    """
    text = json.dumps([_FORM, sorted(modules.items())], ensure_ascii=True)
    kept = None if known is None else known / hashlib.sha256(text.encode()).hexdigest()
    if kept is not None:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if re.fullmatch("[0-9a-f]{64}", found := kept.read_text(encoding="ascii")):
                return found
    parsed = {name: _Module(name, text) for name, text in modules.items()}
    hashes = sorted(found for module in parsed.values() for found in module.hash_statements(parsed))
    hashes += sorted({name for module in parsed.values() for name in module.foreign})
    found = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    if kept is not None:
        _keep(kept, found)
    return found


def _keep(path: Path, text: str) -> None:
    """Write a file that others may be writing too; where nothing can be kept, the next process parses again."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        own = path.with_name(f"{path.name}.{os.getpid()}")
        own.write_text(text, encoding="ascii")
        own.replace(path)


def read_modules(folder: Path, name: str) -> dict[str, str]:
    """The modules below a package's folder: name in full → text, as `hash_sources` takes them."""
    found = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join((name, *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path.read_text(encoding="utf-8")
    return found


@cache
def package_hash(name: str) -> str:
    """The hash of another package, or of a module on its own, in 16 characters; empty where it can't be found."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return ""
    if spec is None:
        return ""
    if spec.submodule_search_locations is None:
        modules = {name: Path(spec.origin).read_text(encoding="utf-8")} if spec.origin else {}
    else:
        modules = {}
        for folder in spec.submodule_search_locations:
            modules |= read_modules(Path(folder), name)
    return hash_sources(modules)[:16]


class _Module:
    """One module's statements: the text of each, the names it binds and the names it uses."""

    def __init__(self, name: str, source: str) -> None:
        self.imported: dict[str, tuple[str, str]] = {}  # name → (module, name there)
        self.foreign: set[str] = set()  # what is imported from elsewhere, by its name in full
        self.bound: dict[str, list[str]] = defaultdict(list)  # name → texts of what binds it
        self.statements: list[tuple[str, set[str]]] = []  # all but imports: text, names used
        self._package = name.partition(".")[0]
        for statement in parse_source(source).body:
            self._take(statement)

    def _take(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            return  # the docstring, or a text that stands alone
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").partition(".")[0] == self._package:
            for alias in statement.names:
                self.imported[alias.asname or alias.name] = (statement.module or "", alias.name)
            return
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module = f"{statement.module}." if isinstance(statement, ast.ImportFrom) else ""
            for alias in statement.names:
                self.bound[alias.asname or alias.name.partition(".")[0]].append(f"{module}{alias.name}")
                self.foreign.add(f"{module}{alias.name}")
            return
        pieces: list[str] = []
        names: set[str] = set()
        bound: set[str] = set()
        _describe(statement, pieces, names, bound)
        text = hashlib.sha256("\0".join(pieces).encode()).hexdigest()
        for name in bound:
            self.bound[name].append(text)
        self.statements.append((text, names))

    def hash_statements(self, modules: Mapping[str, "_Module"]) -> Iterator[str]:
        """The hash of each statement together with those that its names stand for."""
        for text, names in self.statements:
            used = sorted((name, *self._meant(name, modules)) for name in names)
            yield hashlib.sha256(f"{text} {used}".encode()).hexdigest()

    def _meant(self, name: str, modules: Mapping[str, "_Module"], depth: int = 8) -> list[str]:
        """The texts of the statements that a name stands for; none for what is not the program's own."""
        if name in self.bound:
            return self.bound[name]
        if name not in self.imported or depth == 0:
            return []
        module, there = self.imported[name]
        return modules[module]._meant(there, modules, depth - 1) if module in modules else []


def _describe(node: ast.AST, pieces: list[str], names: set[str], bound: set[str], top: bool = True) -> None:
    """Append what a syntax tree consists of, and say which names it uses and, at the top of a module, binds."""
    pieces.append(type(node).__name__)
    if isinstance(node, ast.Name):
        (names if isinstance(node.ctx, ast.Load) else bound if top else set()).add(node.id)
    elif isinstance(node, _WITH_DOCSTRING):
        if top:
            bound.add(node.name)
        top = False
    for field, value in ast.iter_fields(node):
        if field in _BESIDE or value is None or value == []:
            continue
        pieces.append(field)
        if field == "body" and isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            value = value[1:]
        if isinstance(node, ast.JoinedStr):  # Python 3.12 puts empty texts between the parts of a format
            value = [part for part in value if not (isinstance(part, ast.Constant) and part.value == "")]
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                _describe(part, pieces, names, bound, top)
            else:
                pieces.append(f"{type(part).__name__} {part!r}")
    pieces.append(")")
