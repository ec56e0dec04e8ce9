import os

from bptt.cli.common import say


def test_who_reads_no_longer_ends_nothing() -> None:
    reader, writer = os.pipe()
    with open(writer, "w", buffering=1) as stream:  # noqa: PTH123
        say("one", stream)
        assert os.read(reader, 100) == b"one\n"
        os.close(reader)
        say("two", stream)
        say("three", stream)
        assert os.fstat(stream.fileno()).st_rdev == os.stat(os.devnull).st_rdev  # noqa: PTH116
