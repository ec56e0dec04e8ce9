"""One thread of BLAS for whatever computes, as long as any thread of this process asks for it.

The number of BLAS threads decides the last bits of large matrices' eigenvalues, and it is one number for the whole
process: of two trainings at once the first to end must not give the other one several.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_HELD: Final = threading.Lock()
_limits: list[Any] = []
_holders: set[object] = set()


@contextmanager
def use_one_blas_thread() -> Iterator[None]:
    """Let BLAS compute by one thread until all who asked for that have left; then it is as it was before the first."""
    from threadpoolctl import threadpool_limits

    own = object()
    with _HELD:
        _limits.append(threadpool_limits(1, user_api="blas"))  # again, for a library that came since
        _holders.add(own)
    try:
        yield
    finally:
        with _HELD:
            _holders.remove(own)
            while _limits and not _holders:
                _limits.pop().restore_original_limits()
