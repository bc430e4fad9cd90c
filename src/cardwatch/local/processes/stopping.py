"""How a command that started programs is stopped: it ends them before it ends itself."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class StopRequested(KeyboardInterrupt):
    """Somebody asked to stop: Ctrl-C, SIGTERM, or the terminal was closed."""


class _Stop:
    """What the main thread, which alone runs handlers of signals, was asked and puts off."""

    asked = False
    put_off = False
    held = 0


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turn the first signal to stop into StopRequested; later ones change nothing."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def request(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        _Stop.asked = True
        _Stop.put_off = bool(_Stop.held)
        if not _Stop.held:
            raise StopRequested

    before = {number: signal.signal(number, request) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _Stop.asked = _Stop.put_off = False


@contextmanager
def stop_held() -> Iterator[None]:
    """Put a stop off to the end of what must be done whole, and raise StopRequested there.

    What starts a process needs it: a stop in its middle leaves a process that nobody knows of, or
    is lost, because Python drops what is raised in a hook around a fork.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Stop.held += 1
    try:
        yield
    finally:
        _Stop.held -= 1
    if _Stop.put_off and not _Stop.held:
        _Stop.put_off = False
        raise StopRequested


def stop_if_asked() -> None:
    """Raise StopRequested where a stop was asked for, held or not.

    A loop calls it at each turn: a stop that Python dropped, because what it ran at that moment was
    the end of an object or a hook, is not lost for good.
    """
    if _Stop.asked and threading.current_thread() is threading.main_thread():
        _Stop.put_off = False
        raise StopRequested
