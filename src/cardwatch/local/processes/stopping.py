"""How a command that started programs is stopped: it ends them before it ends itself."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class StopRequested(KeyboardInterrupt):
    """Somebody asked to stop: Ctrl-C, SIGTERM, or the terminal was closed."""


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turn the first signal to stop into StopRequested; later ones change nothing."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def request(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise StopRequested

    before = {number: signal.signal(number, request) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
