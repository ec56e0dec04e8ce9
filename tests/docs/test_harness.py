"""A page that does not do what it says must fail, at the right line, and nothing in it may escape."""

import os
import textwrap
from pathlib import Path

import pytest

from tests.docs.blocks import PageError, blocks_of
from tests.docs.reader import Reader, agrees
from tests.docs.shell import commands_of


def follow(folder: Path, text: str) -> Path:
    """Follow a page with this text; returns the folder that it was followed in."""
    page, inside, state = folder / "page.md", folder / "inside", folder / "state"
    page.write_text(textwrap.dedent(text), encoding="utf-8")
    inside.mkdir()
    state.mkdir()
    with Reader(inside, state) as reader:
        for block in blocks_of(page, "page.md"):
            reader.follow(block)
    return inside


WRONG = {
    "a failing command": ("```bash\ntrue\nfalse\n```", "page.md:3: false: exit code 1"),
    "a command that fails within": ("```bash\nfalse | cat\n```", "page.md:2: false | cat: exit code 1"),
    "an unknown command": ("```bash\nbptt trian\n```", "page.md:2: bptt trian: exit code"),
    "another output": ("```console\n$ echo one\ntwo\n```", "page.md:2: echo one: says\none"),
    "more output": ("```console\n$ printf 'a\\nb'\na\n```", "page.md:2: printf"),
    "a console without a command": ("```console\nout\n```", "begins with a command"),
    "an error in Python": ("text\n```python\nx = 1\nassert x == 2\n```", 'File "page.md", line 4'),
    "a name of no block": ("```python\ny\n```", "NameError"),
    "no language": ("```\nx\n```", "page.md:2: a block of no language"),
    "a language that nothing runs": ("```yaml\nx: 1\n```", "page.md:2: a block of yaml without a title"),
    "an unknown directive": ("<!-- test: skip -->\n```bash\nfalse\n```", "page.md:1: no such directive: skip"),
    "a directive that lacks something": (
        "<!-- test: replace A -->\n```bash\ntrue\n```",
        "no such directive: replace A",
    ),
    "a directive above no block": ("<!-- test: where ray -->\ntext\n", "page.md:2: a directive stands above no block"),
    "a directive at the end": ("<!-- test: where ray -->\n", "a directive stands above no block"),
    "a replacement of nothing": ("<!-- test: replace HOST x -->\n```bash\ntrue\n```", "there is no HOST to replace"),
    "an indented block": ("text\n\n    bptt train\n", "page.md:3: an indented block"),
    "a block without an end": ("```bash\ntrue\n", "page.md:1: a block without an end"),
    "a file elsewhere": ('```text title="../x"\n1\n```', "lies outside"),
    "a target that Make does not have": ("```bash\nmake nothing-of-this-name\n```", "exit code 2"),
    "an extra that there is not": ("```bash\npip install 'bptt[cuda]'\n```", "neither bptt nor an extra"),
    "another package": ("```bash\npip install torch\n```", "neither bptt nor an extra"),
    "a tool that there is not": (
        "```bash\n.venv/bin/no-such-tool\n```",
        ".venv/bin/no-such-tool: there is no such tool",
    ),
    "tests that there are not": ("```bash\n.venv/bin/python -m pytest tests/none\n```", "there is no tests/none"),
    "a server that ends": ("<!-- test: background -->\n```bash\ntrue\n```", "does not answer"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_fails_where_it_stands(name: str, tmp_path: Path) -> None:
    text, says = WRONG[name]
    with pytest.raises(PageError) as raised:
        follow(tmp_path, text)
    assert says in str(raised.value)


def test_a_page_that_is_right(tmp_path: Path) -> None:
    """Files, exports, the folder and Python's names last from block to block; a list may be indented."""
    inside = follow(
        tmp_path,
        """\
        - an item

            of two paragraphs

        ```toml title="deep/er/file.toml"
        key = 1
        ```
        ```bash
        export KEY=value  # for the next
        cd deep
        ```
        ```console
        $ echo $KEY; pwd
        value
        …/inside/deep
        $ cat er/file.toml
        key = 1
        ```
        ```python
        import os
        key = os.environ["KEY"]
        ```
        ```python
        open("made", "w").write(key)
        ```
        <!-- test: where no_such_module -->
        ```bash
        false
        ```
        <!-- test: replace WHAT true -->
        ```bash
        WHAT
        make test
        pip install 'bptt[dask,onnx]'
        ```
        """,
    )
    assert (inside / "deep" / "made").read_text() == "value"


def test_overrides_of_a_directive_reach_each_training_and_no_other_command(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "bptt"
    tool.write_text('#!/bin/sh\necho "$@" >> ../said\n')
    tool.chmod(0o755)
    follow(
        tmp_path,
        f"""\
        ```bash
        export PATH={tool.parent}:$PATH
        ```
        <!-- test: with train.updates=20 seed=1 -->
        ```bash
        bptt train task=xor   # in full
        bptt train -m 'seed=range(3)' | cat
        bptt plan sweep=eta
        bptt report latest
        bptt train --help
        ```
        """,
    )
    assert (tmp_path / "said").read_text().splitlines() == [
        "train task=xor train.updates=20 seed=1",
        "train -m seed=range(3) train.updates=20 seed=1",
        "plan sweep=eta train.updates=20 seed=1",
        "report latest",
        "train --help",
    ]


def test_a_server_is_awaited_and_stopped(tmp_path: Path) -> None:
    follow(
        tmp_path,
        """\
        ```python title="serve.py"
        import http.server, os
        server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        open("number", "w").write(str(os.getpid()))
        open("port", "w").write(str(server.server_port))
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
        ```
        <!-- test: background -->
        ```bash
        exec python serve.py
        ```
        ```python
        import urllib.request
        assert b"serve.py" in urllib.request.urlopen("http://127.0.0.1:" + open("port").read()).read()
        ```
        """,
    )
    number = int((tmp_path / "inside" / "number").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_outputs_agree_where_dots_stand_for_anything() -> None:
    assert agrees("a 1.5 b \n", "a … b")
    assert agrees("first\nmiddle\nlast\n", "first\n…\nlast")
    assert not agrees("a 1.5 c", "a … b")
    assert not agrees("a+b", "a.b")
    assert not agrees("a\nb", "a")


def test_commands_are_as_many_lines_as_the_shell_needs() -> None:
    script = "one \\\n  two\n# nothing\n\nfor x in 1 2; do\n  echo $x\ndone\ncat <<E\nin\nE\nlast  # of all"
    assert [line for line, _ in commands_of(script)] == [0, 4, 7, 10]
    assert commands_of(script)[1][1] == "for x in 1 2; do\n  echo $x\ndone"
