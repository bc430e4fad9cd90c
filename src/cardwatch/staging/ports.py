"""What staging asks of the world; the adapters are in `aws`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KnownStatus:
    """What is known of one card: the newest status that was seen of it."""

    card_token: str
    stolen: bool
    effective_from: datetime

    def outdates(self, other: "KnownStatus") -> bool:
        """Say whether this one is newer; of two from the same instant STOLEN wins."""
        return (self.effective_from, self.stolen) > (other.effective_from, other.stolen)


class CardRegistry(Protocol):
    """What the stager has seen of the registry. Both methods raise RegistryUnavailableError."""

    def read(self, card_tokens: Collection[str]) -> Mapping[str, KnownStatus]:
        """Give what is known of those cards, by token; a moment behind, perhaps."""
        ...

    def write(self, status: KnownStatus) -> None:
        """Remember a status, unless a newer one of the card is known."""
        ...


class RegistryUnavailableError(Exception):
    """The card registry does not answer; the text names it and the error's code, nothing else."""
