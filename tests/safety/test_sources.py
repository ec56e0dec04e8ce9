"""Nothing in the sources unpickles, evaluates text, makes objects of YAML, starts a shell or leaves HTML as it is."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.py")])
TEMPLATES = sorted((ROOT / "src").rglob("*.j2"))

MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal", "pty", "code"}
#: What a Dask worker is sent is Python's own objects, as with every cluster; see docs/safety.md.
ALLOWED = {("dask.py", "import of distributed.protocol.pickle")}
BUILTINS = {"eval", "exec", "compile", "__import__"}
OF_MODULES = {
    "os": {"system", "popen", "execv", "execvp", "execl", "spawnv"},
    "tempfile": {"mktemp"},
    "yaml": {"unsafe_load", "unsafe_load_all", "full_load", "full_load_all", "load_all", "UnsafeLoader", "FullLoader",
             "Loader", "CLoader", "CUnsafeLoader", "CFullLoader", "UnsafeConstructor", "add_constructor"},
    "joblib": {"load", "dump"},
    "torch": {"load"},
    "hydra.utils": {"instantiate", "call", "get_class", "get_method", "get_object"},
    "markupsafe": {"Markup"},
}  # fmt: skip
METHODS = {"read_pickle", "to_pickle", "register_new_resolver", "extractall", "unpack_archive"}


def unsafe(tree: ast.AST) -> Iterator[str]:
    """What in a module must not be there, in words."""
    names = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"import of {name}" for name in found if MODULES & {*name.split(".")})
            if isinstance(node, ast.ImportFrom):
                yield from (_of(f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield _of(ast.unparse(node))
            yield node.attr if node.attr in METHODS else ""
        elif isinstance(node, ast.Call):
            yield from _calls(node, names)


def _of(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    return name if attribute in OF_MODULES.get(module, set()) else ""


def _calls(node: ast.Call, names: dict[str, str]) -> Iterator[str]:
    called = ast.unparse(node.func)
    called = names.get(called, called)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if called in BUILTINS:
        yield called
    if called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
        yield "numpy.load without allow_pickle=False"
    if called == "yaml.load" and not (len(node.args) == 2 and ast.unparse(node.args[1]) == "loader"):
        yield "yaml.load"
    if given.get("shell", "False") != "False":
        yield "a shell"
    if given.get("escape", "True") != "True" or given.get("autoescape") == "False":
        yield "HTML that is not escaped"
    if given.get("allow_pickle", "False") != "False":
        yield "allow_pickle"


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_no_source_does_what_is_unsafe() -> None:
    found = {(path.name, says) for path in SOURCES for says in unsafe(parsed(path)) if says}
    assert found == ALLOWED


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import pickle", "import of pickle"),
        ("from shelve import open", "import of shelve"),
        ("import joblib\njoblib.load(f)", "joblib.load"),
        ("from joblib import load", "joblib.load"),
        ("np.load(f)", "numpy.load without allow_pickle=False"),
        ("np.load(f, allow_pickle=pickled)", "numpy.load without allow_pickle=False"),
        ("from numpy import load\nload(f)", "numpy.load without allow_pickle=False"),
        ("pd.read_pickle(f)", "read_pickle"),
        ("yaml.load(f, yaml.Loader)", "yaml.load"),
        ("yaml.unsafe_load(f)", "yaml.unsafe_load"),
        ("eval(text)", "eval"),
        ("subprocess.run(command, shell=True)", "a shell"),
        ("os.system(command)", "os.system"),
        ("hydra.utils.instantiate(node)", "hydra.utils.instantiate"),
        ("from hydra.utils import instantiate", "hydra.utils.instantiate"),
        ("frame.to_html(escape=False)", "HTML that is not escaped"),
        ("OmegaConf.register_new_resolver('x', f)", "register_new_resolver"),
    ],
)
def test_the_test_finds_it(source: str, says: str) -> None:
    assert says in set(unsafe(ast.parse(source)))


def test_yaml_s_loader_is_a_safe_one() -> None:
    """`yaml.load(text, loader)` stands where the fast loader may be missing."""
    for path in SOURCES:
        tree = parsed(path)
        if not any(isinstance(node, ast.Call) and ast.unparse(node.func) == "yaml.load" for node in ast.walk(tree)):
            continue
        (chosen,) = [
            ast.unparse(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "loader"
        ]
        assert chosen == "getattr(yaml, 'CSafeLoader', yaml.SafeLoader)", path


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_writes_html_as_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    # The style sheet is a template of the project's own, made without values; the page's policy names its hash.
    own = ["<style>{{ css | safe }}</style>"] if path.name == "report.html.j2" else []
    assert text.replace(" ", "").count("|safe") == len(own)
    assert [line for line in text.splitlines() if "safe" in line] == own
    assert "autoescape" not in text
