"""A report takes one thread of BLAS: two wait for each other where the cores are busy."""

from typing import Any

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from bptt.analysis.report import writing


def test_a_report_is_made_with_one_thread_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def make(*_: Any) -> dict[str, bytes]:
        seen.extend(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")
        return {"report.md": b""}

    monkeypatch.setattr(writing, "_make_files", make)
    with threadpool_limits(2, user_api="blas"):
        assert writing.make_report_files([]) == {"report.md": b""}
        assert {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"} == {2}
    assert seen
    assert set(seen) == {1}
