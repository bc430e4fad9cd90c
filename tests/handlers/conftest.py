"""What tests of functions share."""

import pytest

from cardwatch.observability import get_metrics


@pytest.fixture(autouse=True)
def _cold_metrics() -> None:
    """Begin with nothing counted: all metrics of a process are in one store."""
    get_metrics("a test").clear_metrics()
