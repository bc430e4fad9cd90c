"""The token bucket: how many pages may go out."""

from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict

from cardwatch.contract.fields import EventTime

MAX_PAGES_PER_SECOND: Final = 9
"""SNS deactivates an e-mail subscription at 10 messages a second."""


MAX_CLOCK_DIFFERENCE: Final = timedelta(seconds=60)
"""How far ahead another host's clock is believed to be: one that is hours ahead, as a laptop's is
that has slept, must not stop paging until the others have caught up."""


def reserved(pages_per_minute: int) -> int:
    """Give how many tokens only urgent rules may take: half of what may go out at once."""
    return burst(pages_per_minute) // 2


def burst(pages_per_minute: int) -> int:
    """Give how many pages may go out at once.

    So few that no second sees more than the maximum, and at most half of a minute's.
    """
    in_a_second = MAX_PAGES_PER_SECOND - -(-pages_per_minute // 60)
    return max(1, min(in_a_second, pages_per_minute // 2))


def gained(pages_per_minute: int, passed: timedelta) -> float:
    """Give the tokens that come in some time.

    They are fewer than the pages of a minute by what may go out at once, so that no minute, the
    one after a quiet hour included, sees more pages than a minute may.
    """
    a_minute = pages_per_minute + 1 - burst(pages_per_minute)
    return passed / timedelta(minutes=1) * a_minute


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

    def take(
        self, pages_per_minute: int, now: datetime, *, reserved: int = 0
    ) -> "TokenBucket | None":
        """Give the bucket with one token less, or None when it has no whole one beside `reserved`.

        Its time does not run backwards. Where it was set by a clock that is too far ahead to be
        believed, it starts anew: a bucket from which nothing can be taken is never written, so it
        could not be set right in steps.
        """
        if self.at > now + MAX_CLOCK_DIFFERENCE:
            return TokenBucket.full(pages_per_minute, now).take(
                pages_per_minute, now, reserved=reserved
            )
        at = max(now, self.at)
        tokens = self.tokens + gained(pages_per_minute, at - self.at)
        tokens = min(float(burst(pages_per_minute)), tokens)
        return TokenBucket(tokens=tokens - 1, at=at) if tokens >= 1 + reserved else None
