"""What all tests share."""

import signal
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling, Scheduling

# How long an example takes says something about the machine, not about cardwatch.
settings.register_profile("cardwatch", deadline=None)
settings.load_profile("cardwatch")

LOOPBACK = ["127.0.0.1", "localhost"]
WITHOUT_SERVERS = {"contract", "handlers", "unit"}
"""Folders whose tests talk to nobody; one that must says so by `allow_hosts`."""
LONG = (
    "flink/test_cases.py",  # and all that share its Flink
    "flink/test_replay.py",
    "infrastructure/test_detection_stack.py",
    "infrastructure/test_deploy.py",
    "flink/test_golden_scenarios.py",
    "adapters/test_flink_cluster.py",
    "adapters/test_connector_edge.py",
    "dashboard/test_pages.py",
    "infrastructure/test_specification.py",
    "handlers/test_simulator.py",
    "unit/local/stream/test_long_stream.py",
    "contract/test_card_numbers.py",
    "warehouse/test_examples.py",
    "warehouse/test_upkeep.py",
    "adapters/test_failures.py",
)
"""Begun first, so that no worker is left alone with one of them at the end."""
ON_ONE_STACK = frozenset(
    f"infrastructure/test_{name}.py" for name in ("deploy", "invoke", "backfill", "quarantine")
)
"""Files for the same worker: what they share takes long to build and deploy."""
OF_ITS_OWN_FLINK = frozenset(
    f"flink/test_{name}.py" for name in ("golden_scenarios", "main", "replay")
)
"""The files of this folder that start Flink themselves; all others share one and its plans, each of
which takes seconds."""
TRACED_SECONDS = 1.0
"""Of CPU. What a test still does then, another example or another batch, it did before; and tracing
it takes more than twice the time: measured, of three folders 141 s in place of 61."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Have coverage measure the beginning of a test; programs that it starts count to their end."""
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    if tracer is None:
        return (yield)

    def stop(*_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, TRACED_SECONDS)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        sys.settrace(tracer)
        threading.settrace(of_threads)


class SharedServersScheduling(LoadFileScheduling):  # type: ignore[misc]  # has no types
    """A file's tests run on one worker, as do those of all files that share a server."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        name = file.removeprefix("tests/")
        if name in ON_ONE_STACK:
            return "the stack"
        return "the Flink" if name.startswith("flink/") and name not in OF_ITS_OWN_FLINK else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Take the place of `--dist loadfile`."""
    if config.getoption("dist") != "loadfile":
        return None
    return SharedServersScheduling(config, log)


@pytest.hookimpl(trylast=True)  # after the files were shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first; let tests that start servers reach this machine, and none any other."""
    here = Path(__file__).parent
    for name in (*LONG, *ON_ONE_STACK, *OF_ITS_OWN_FLINK):
        if not (here / name).exists():
            msg = f"tests/{name} is gone: mend the lists of {Path(__file__).name}"
            raise pytest.UsageError(msg)
    files = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: files.get(item.path.relative_to(here).as_posix(), len(LONG)))
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if folder not in WITHOUT_SERVERS and item.get_closest_marker("allow_hosts") is None:
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name packed bytes without the second at which they were packed.

    Workers that collect in different seconds would otherwise not have the same tests.
    """
    if isinstance(val, bytes) and val.startswith(b"\x1f\x8b"):
        return f"{len(val)} packed bytes"
    return None
