"""When a card is stolen: by the definition, and as far as the stream could tell.

Written from decision 0013 and not from the job's SQL, of which it is independent.
"""

from collections.abc import Iterable
from datetime import datetime

from cardwatch.audit.ports import StagedPayment, StagedStatus


def report_in_force(statuses: Iterable[StagedStatus], at: datetime) -> StagedStatus | None:
    """Give the status by which a card is stolen at a time; None when it is not.

    The definition: of all its statuses, whenever they came, the newest that took effect by then
    says STOLEN; of two from the same instant STOLEN wins.
    """
    in_effect = (status for status in statuses if status.effective_from <= at)
    newest = max(in_effect, key=lambda s: (s.effective_from, s.status == "STOLEN"), default=None)
    return newest if newest is not None and newest.status == "STOLEN" else None


def came_before(status: StagedStatus, record: StagedPayment) -> bool:
    """Say whether a status stood before a payment's record on their shard, as far as loads tell.

    What is loaded earlier stood before. Within a load, which has no order, the times at which
    producers sent the two decide.
    """
    if status.loaded_at != record.loaded_at:
        return status.loaded_at < record.loaded_at
    return status.published_at <= record.happened_at


def stream_could_tell(statuses: Iterable[StagedStatus], record: StagedPayment) -> bool:
    """Say whether the stream owes the alert: by the three times of what stood before the record."""
    known = [status for status in statuses if came_before(status, record)]
    stolen = [status.effective_from for status in known if status.status == "STOLEN"]
    active = [status.effective_from for status in known if status.status == "ACTIVE"]
    if not stolen:
        return False
    first, newest, cleared = min(stolen), max(stolen), max(active, default=None)
    at = record.happened_at
    if newest <= at:
        return cleared is None or not newest < cleared <= at
    # Reported again later: stolen since the first report, unless something newer says ACTIVE.
    return first <= at and (cleared is None or cleared <= first)
