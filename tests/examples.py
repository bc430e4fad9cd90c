"""The contract's examples, which every consumer of the stream is held to.

Valid examples are one record each. Invalid ones are named `<reason>.<case>.json` and hold the raw
bytes of a record, which need not be JSON.
"""

from datetime import UTC, datetime
from pathlib import Path

EVENTS = Path(__file__).parents[1] / "events"
VALID = sorted(EVENTS.glob("examples/*/valid/*.json"))
INVALID = sorted(EVENTS.glob("examples/*/invalid/*.json"))
NOW = datetime(2026, 11, 21, 7, 0, 10, tzinfo=UTC)
"""The clock of whoever reads them."""


def label(path: Path) -> str:
    """Name an example by its type and file."""
    return f"{path.parts[-3]}/{path.stem}"


def reason(path: Path) -> str:
    """Say why an invalid example is rejected."""
    return path.name.split(".")[0]
