"""Cards as the simulator sees them, and a moment to start from."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cardwatch.contract.card_status import Status
from cardwatch.simulation.events import TICKS_PER_SECOND

START = datetime(2026, 11, 21, 7, tzinfo=UTC)
FIRST = int(START.timestamp()) * TICKS_PER_SECOND
"""The tick that begins at START."""


@dataclass(frozen=True)
class FakeCard:
    token: str
    bin: str
    last4: str
    status: Status
    effective_from: datetime
    reason: str


def make_cards(count: int, stolen: int) -> list[FakeCard]:
    return [
        FakeCard(
            token=f"{index:032x}",
            bin="424242",
            last4=f"{index:04d}",
            status="STOLEN" if index < stolen else "ACTIVE",
            effective_from=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=index),
            reason='said "gone", Zürich',
        )
        for index in range(count)
    ]


CARDS = make_cards(50, 10)
