"""The token bucket: how many pages may go out."""

from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict

from cardwatch.contract.fields import EventTime

MAX_PAGES_PER_SECOND: Final = 9
"""SNS deactivates an e-mail subscription at 10 messages a second."""


def burst(pages_per_minute: int) -> int:
    """Give how many pages may go out at once, so that no second sees more than the maximum."""
    return max(1, MAX_PAGES_PER_SECOND - -(-pages_per_minute // 60))


class TokenBucket(BaseModel):
    """One token is one page. It is one item for all concurrent attempts."""

    model_config = ConfigDict(frozen=True)

    tokens: float
    at: EventTime
    """When `tokens` was right."""

    @classmethod
    def full(cls, pages_per_minute: int, now: datetime) -> "TokenBucket":
        """Give the bucket nobody has taken from yet."""
        return cls(tokens=burst(pages_per_minute), at=now)

    def take(self, pages_per_minute: int, now: datetime) -> "TokenBucket | None":
        """Give the bucket with one token less, or None when there is no whole one.

        Time never runs backwards for it, whatever the hosts' clocks do.
        """
        at = max(now, self.at)
        gained = (at - self.at).total_seconds() * pages_per_minute / 60
        tokens = min(float(burst(pages_per_minute)), self.tokens + gained)
        return TokenBucket(tokens=tokens - 1, at=at) if tokens >= 1 else None
