"""What all tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something about the machine, not about cardwatch.
settings.register_profile("cardwatch", deadline=None)
settings.load_profile("cardwatch")

LOOPBACK = ["127.0.0.1", "localhost"]
WITHOUT_SERVERS = {"contract", "handlers", "unit"}
"""Folders whose tests talk to nobody; one that must says so by `allow_hosts`."""
LONG = (
    "flink/test_replay.py",
    "infrastructure/test_detection_stack.py",
    "infrastructure/test_deploy.py",
    "flink/test_invariants.py",
    "adapters/test_flink_cluster.py",
    "adapters/test_connector_edge.py",
)
"""Files of minutes: begun first, so that no worker is left alone with one at the end."""


@pytest.hookimpl(trylast=True)  # after the files were shuffled
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first; let tests that start servers reach this machine, and none any other."""
    here = Path(__file__).parent
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
