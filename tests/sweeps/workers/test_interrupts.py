import os
import signal
import time

import pytest

from bptt.sweeps.workers import interrupts
from bptt.sweeps.workers.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_insists(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # whatever the tests were started by
    try:
        with Interrupts() as asked:
            os.kill(os.getpid(), number)
            assert asked.requested
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_who_does_not_stop_soon_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_SECONDS", 0.05)
    with Interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            time.sleep(30)


def test_who_settles_is_left_to_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_SECONDS", 0.05)
    with Interrupts() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        asked.settle()
        time.sleep(0.2)
    assert asked.requested


def test_where_nothing_is_half_done_the_first_signal_is_heard_at_once() -> None:
    with Interrupts() as asked, pytest.raises(KeyboardInterrupt), asked.raising():
        os.kill(os.getpid(), signal.SIGINT)
    with Interrupts() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        asked.settle()
        with pytest.raises(KeyboardInterrupt), asked.raising():
            raise AssertionError("not reached")


def test_below_nohup_a_terminal_that_goes_away_stops_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as asked:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not asked.requested
    finally:
        signal.signal(signal.SIGHUP, before)
