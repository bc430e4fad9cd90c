"""One Flink process for all tests of this folder."""

from collections.abc import Iterator

import pytest
from tests.flink.running import FLINK_PYTHON, Flink


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flink]:
    if not FLINK_PYTHON.exists():
        pytest.fail(f"{FLINK_PYTHON} is missing: run `make setup`")
    running = Flink(tmp_path_factory.mktemp("flink"))
    yield running
    running.stop()
