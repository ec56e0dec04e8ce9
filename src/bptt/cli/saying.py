"""Lines for whoever reads along, who may be gone: a closed terminal or pipe ends no training."""

import os
import sys
from typing import TextIO


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line, on stderr unless another stream is given; where nobody reads any more, nothing."""
    stream = sys.stderr if stream is None else stream
    try:
        print(text, file=stream, flush=True)
    except OSError:
        forget(stream)


def forget(stream: TextIO) -> None:
    """Let a stream that nobody reads any more lead nowhere: at its end Python would try once more to write to it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
