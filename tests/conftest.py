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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that start servers reach this machine, and no test any other."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder not in WITHOUT_SERVERS and item.get_closest_marker("allow_hosts") is None:
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name packed bytes without the second at which they were packed.

    Workers that collect in different seconds would otherwise not have the same tests.
    """
    if isinstance(val, bytes) and val.startswith(b"\x1f\x8b"):
        return f"{len(val)} packed bytes"
    return None
