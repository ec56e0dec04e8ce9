"""One who follows a page from its beginning to its end, and does all that it says."""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import TracebackType
from typing import Self

from tests import forking
from tests.docs.blocks import Block, PageError
from tests.docs.shell import Shell, commands_of

ROOT = Path(__file__).parents[2]
_OVERRIDDEN = re.compile(r"(?P<command>(?:^|(?<=\s))bptt (?:train|plan)(?! --help)\b[^|>#;&\n]*)")
_MAKE = re.compile(r"^make +(?P<goals>[\w .=-]+?)(?: +#.*)?$")
_INSTALL = re.compile(r"^(?P<pip>[\w./]*pip) install (?P<what>.+?)(?: +#.*)?$")
_DEVELOPMENT = re.compile(r"^\.venv/bin/(?P<tool>\S+)(?P<arguments>.*?)(?: +#.*)?$")
_EXTRA = re.compile(r"^'?(?P<name>bptt|\.)(?:\[(?P<extras>[\w,]+)\])?'?$")
# A page's Python: a block a line, answered by its error or by null; what it prints is no part of the answer.
_INTERPRETER = """
import json, sys, traceback
answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    page, first, code = json.loads(line)
    error = None
    try:
        exec(compile("\\n" * (first - 1) + code, page, "exec"), globals())
    except BaseException:
        error = traceback.format_exc()
    print(json.dumps(error), file=answers, flush=True)
"""


class Reader:
    """Follows a page in a folder; `state` is a folder for what the reader keeps in mind."""

    def __init__(self, folder: Path, state: Path) -> None:
        self._folder, self._shell = folder, Shell(folder, state)
        self._python: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.close()
        if self._python is not None:
            self._python.communicate(timeout=60)

    def follow(self, block: Block) -> None:
        """Do what a block says. Raises PageError where that fails, or is not what comes of it."""
        if any(importlib.util.find_spec(module) is None for (module,) in block.all("where")):
            return
        text = block.text
        for old, new in block.all("replace"):
            if old not in text:
                raise PageError(f"{block.place}: there is no {old} to replace")
            text = text.replace(old, new)
        if block.title is not None:
            file = self._folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n", encoding="utf-8")
        elif block.language == "python":
            self._execute(block, text)
        elif block.language == "console":
            self._compare(block, text)
        elif block.all("background"):
            if wrong := self._shell.serve(text):
                raise PageError(f"{block.place}: {text}: {wrong}")
        elif block.language == "bash":
            for line, command in commands_of(text):
                said, code = self._shell.run(_as_tested(command, block))
                if code != 0:
                    raise PageError(f"{block.page}:{block.line + line}: {command}: exit code {code}\n{said}")

    def _compare(self, block: Block, text: str) -> None:
        lines = text.splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        if not starts or starts[0] != 0:
            raise PageError(f"{block.place}: a console begins with a command: $ …")
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            command, expected = lines[start].removeprefix("$ "), lines[start + 1 : end]
            said, _ = self._shell.run(_as_tested(command, block))
            if not agrees(said, "\n".join(expected)):
                shown = "\n".join(expected)
                raise PageError(
                    f"{block.page}:{block.line + start}: {command}: says\n{said}\nand not, as the page has it\n{shown}"
                )

    def _execute(self, block: Block, code: str) -> None:
        if self._python is None:
            words = self._shell.words(f"exec {shlex.join(forking.command(_INTERPRETER))}")
            self._python = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        self._python.stdin.write(json.dumps([block.page, block.line, code]) + "\n")
        self._python.stdin.flush()
        answer = self._python.stdout.readline()
        error = json.loads(answer) if answer else "the interpreter died"
        if error is not None:
            raise PageError(f"{block.place}: {error}")


def agrees(said: str, expected: str) -> bool:
    """Whether an output is as expected, … standing for anything; blanks at the ends of lines don't count."""
    clean = [re.sub(r"[ \t]+$", "", text.strip("\n"), flags=re.MULTILINE) for text in (said, expected)]
    return re.fullmatch(".*?".join(map(re.escape, clean[1].split("…"))), clean[0], re.DOTALL) is not None


def _as_tested(command: str, block: Block) -> str:
    """What is run for a command: fewer updates where a directive says so, and nothing that would set up the machine."""
    if made := _MAKE.match(command):
        return f"make --silent --dry-run --directory '{ROOT}' {made['goals']} > /dev/null"
    if installed := _INSTALL.match(command):
        _check_extras(installed["what"], block)
        return "true"
    if developing := _DEVELOPMENT.match(command):
        _check_development(developing["tool"], developing["arguments"], block)
        return "true"
    if overrides := [text for given in block.all("with") for text in given]:
        changed, count = _OVERRIDDEN.subn(lambda m: f"{m['command'].rstrip()} {' '.join(overrides)} ", command)
        return changed if count else command
    return command


def _check_development(tool: str, arguments: str, block: Block) -> None:
    words = shlex.split(arguments)
    if not (Path(sys.executable).parent / tool).exists():
        raise PageError(f"{block.place}: .venv/bin/{tool}: there is no such tool")
    if words[:1] == ["-m"] and importlib.util.find_spec(words[1]) is None:
        raise PageError(f"{block.place}: python -m {words[1]}: there is no such module")
    missing = [word for word in words if "/" in word and not (ROOT / word.partition("::")[0]).exists()]
    if missing:
        raise PageError(f"{block.place}: there is no {', '.join(missing)}")


def _check_extras(what: str, block: Block) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for word in what.split():
        if word.startswith("-"):
            continue
        found = _EXTRA.match(word)
        extras = {extra for extra in ((found["extras"] or "").split(",") if found else ()) if extra}
        if found is None or not extras <= project["optional-dependencies"].keys():
            raise PageError(f"{block.place}: pip install {word}: neither bptt nor an extra of its own")
