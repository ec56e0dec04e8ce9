import os
import signal
import threading
import time
from collections.abc import Callable

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


def test_what_was_sent_before_it_settled_is_not_heard_after(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = threading.Event()

    def late(number: int, signalled: int, kill: Callable[[int, int], None] = os.kill) -> None:
        """The timer has run out, and the signal comes when all has been settled."""
        sent.set()
        time.sleep(0.2)
        kill(number, signalled)

    monkeypatch.setattr(interrupts, "_SECONDS", 0.0)
    with Interrupts() as asked:
        kill = os.kill
        monkeypatch.setattr(os, "kill", late)
        kill(os.getpid(), signal.SIGINT)
        assert sent.wait(10)
        asked.settle()
    assert asked.requested
    time.sleep(0.5)


def test_a_second_signal_is_the_last_that_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_SECONDS", 0.3)
    with Interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.6)  # what is done then is left to finish


def test_while_it_is_left_a_signal_asks_and_nothing_comes_of_it_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_SECONDS", 0.05)

    class Leaving(Interrupts):
        def settle(self) -> None:
            super().settle()
            os.kill(os.getpid(), signal.SIGINT)

    with Leaving() as asked:
        pass
    assert asked.requested
    time.sleep(0.2)


def test_who_was_asked_before_is_left_at_once_and_the_patient_never_insist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_SECONDS", 0.05)
    with pytest.raises(KeyboardInterrupt), Interrupts(requested=True):
        os.kill(os.getpid(), signal.SIGINT)
    with Interrupts(insists=False) as asked:
        os.kill(os.getpid(), signal.SIGINT)
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


def test_a_second_signal_while_the_first_starts_its_timer_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_timer: threading.Timer) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(threading.Timer, "start", start)
    with Interrupts() as asked, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert asked.requested
