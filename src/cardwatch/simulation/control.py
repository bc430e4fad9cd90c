"""Who may send which ticks, and whether payments are on: the simulator's control table.

Invocations of the simulator overlap, and each tick must be sent by exactly one of them. The table
holds one lease, a list of hand-overs: each names an invocation by its generation (the time it was
scheduled for) and the tick from which it sends. A new invocation appends itself with a tick a few
seconds ahead, on condition that nobody else wrote since it read; the running one reads the lease
about every second and stops at exactly that tick. An invocation that is not newer than the last
one listed does nothing.
"""

from dataclasses import dataclass, field
from typing import Protocol


class ControlUnavailableError(Exception):
    """The control table cannot be read or written at the moment; the text says why."""


@dataclass(frozen=True, slots=True)
class Handover:
    """One invocation's turn: it sends the ticks from `from_tick` to the next hand-over's."""

    generation: int
    """The time it was scheduled for, in milliseconds since the epoch."""
    holder: str
    """Which invocation; tells two deliveries of one schedule apart."""
    from_tick: int


@dataclass(frozen=True, slots=True)
class Control:
    """What the table says: the hand-overs, oldest first, and the switches that are set."""

    handovers: tuple[Handover, ...] = ()
    payments: bool | None = None
    """Payments on or off; None leaves it to the settings."""
    payments_per_second: float | None = None
    """None leaves it to the settings."""
    problems: tuple[str, ...] = field(default=())
    """Switches that hold something else than they may, and are left to the settings."""

    @property
    def last(self) -> Handover | None:
        """Give the newest hand-over, or None when there never was one."""
        return self.handovers[-1] if self.handovers else None


class SimulatorControl(Protocol):
    """The control table."""

    def read(self) -> Control:
        """Read what is written; raises ControlUnavailableError."""
        ...

    def write_handovers(self, handovers: tuple[Handover, ...], *, after: Handover | None) -> bool:
        """Replace the hand-overs if `after` is still the last one, and say whether it was.

        Raises ControlUnavailableError; it may have been written nevertheless.
        """
        ...
