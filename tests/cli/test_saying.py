import logging
import os
import sys

import pytest

from bptt.cli.common import find_drawn_on, print_lines, print_text_alone, say
from bptt.printable import OneLineError, make_lines_printable, make_printable
from bptt.sweeps.workers.calls import Stopped, WorkersError
from bptt.tracking.folder.block import ArchiveError
from bptt.tracking.folder.run import ResumeError
from bptt.tracking.store.address import StoreError
from bptt.tracking.store.connecting import SourceError


def test_who_reads_no_longer_ends_nothing() -> None:
    reader, writer = os.pipe()
    with open(writer, "w", buffering=1) as stream:  # noqa: PTH123
        say("one", stream)
        assert os.read(reader, 100) == b"one\n"
        os.close(reader)
        say("two", stream)
        say("three", stream)
        assert os.fstat(stream.fileno()).st_rdev == os.stat(os.devnull).st_rdev  # noqa: PTH116


@pytest.mark.parametrize(
    ("text", "line", "lines"),
    [
        ("plain é 日本 – ∞", "plain é 日本 – ∞", "plain é 日本 – ∞"),
        ("a\x1b[2Jb", r"a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\nb\tc", r"a\nb\tc", "a\nb\tc"),
        ("a\r\nb\x7f\x00", r"a\r\nb\x7f\x00", "a\\r\nb\\x7f\\x00"),
        ("\x9b2J\x85", r"\x9b2J\x85", r"\x9b2J\x85"),  # C1: what some terminals take for ESC [
        ("\u202egnp.exe\u2028\ufeff", r"\u202egnp.exe\u2028\ufeff", r"\u202egnp.exe\u2028\ufeff"),
        ("wide\u3000and\xa0narrow\u202f", "wide\u3000and\xa0narrow\u202f", "wide\u3000and\xa0narrow\u202f"),
        ("\udcff", r"\udcff", r"\udcff"),
    ],
)
def test_what_does_something_to_a_terminal_is_written_out(text: str, line: str, lines: str) -> None:
    assert make_printable(text) == line
    assert make_lines_printable(text) == lines
    assert make_printable(line) == line


@pytest.mark.parametrize("kind", [ArchiveError, ResumeError, SourceError, StoreError, Stopped, WorkersError])
def test_an_error_of_one_line_has_one(kind: type[OneLineError]) -> None:
    assert str(kind("a\nb\x1b[2J")) == r"a\nb\x1b[2J"


def test_nothing_that_is_printed_does_anything_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with print_text_alone(), print_text_alone():
        print("one\x1b[2J")
        print("two\x1b[2J", file=sys.stderr)
        say("three\x1b[2J\nfour")
        handler = logging.StreamHandler(sys.stderr)
        handler.emit(logging.LogRecord("a", logging.WARNING, "file", 1, "five %s", ("\x1b[2J",), None))
        print_lines(["six\nresults sha256 0000: the same"])
        sys.stdout.writelines(["seven\x1b[2J"])
        assert [find_drawn_on(stream) for stream in (sys.stdout, sys.stderr)] == [*before]
        assert sys.stdout.isatty() == before[0].isatty()
    assert (sys.stdout, sys.stderr) == before
    out, err = capsys.readouterr()
    assert out == "one\\x1b[2J\nsix\\nresults sha256 0000: the same\nseven\\x1b[2J"
    assert "two\\x1b[2J\nthree\\x1b[2J\nfour\n" in err
    assert err.endswith("five \\x1b[2J\n")
    assert make_lines_printable(out + err) == out + err


def test_a_stream_that_was_closed_before_takes_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with print_text_alone():
        say("one")
        assert not sys.stderr.isatty()
    assert sys.stderr is None
