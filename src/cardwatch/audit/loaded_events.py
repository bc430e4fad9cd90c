"""What was loaded since, out of staging.events itself, and what is typed of the same cards.

The typed tables are as new as their last refresh, minutes ago. What was loaded since then is read
as it was delivered; older events of the cards that it is about are read by card. The SQL is
Redshift's; it selects, and judges nothing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from cardwatch.audit import typed_events
from cardwatch.audit.delivered import Gathered
from cardwatch.audit.ports import Staged
from cardwatch.warehouse.ports import WarehouseSession
from cardwatch.warehouse.refresh import EPOCH, REACH, read_time
from cardwatch.warehouse.sql import bind, quoted

LISTED: Final = 400
"""How many cards, payments or alerts one statement names; the Data API takes 100 KB."""
SLACK: Final = timedelta(days=2)
"""How much further back than the look-back payments are read, for those that came late."""
LONGEST_LIFE: Final = timedelta(days=30)
"""How much further back their alerts are: an alert has the time of its payment's first record."""
_STEPS: Final = (
    "typed.card_status",
    "typed.payment_event",
    "typed.payment_alert",
    "typed.rule_alert",
    "typed.page_event",
    "typed.quarantined_event",
    "facts.page_alerts",
)
_REFRESHED: Final = (
    "SELECT COUNT(*), MIN(as_of) FROM refresh.progress "  # noqa: S608 - constants
    f"WHERE step IN ({', '.join(map(quoted, _STEPS))})"
)
_NEWEST: Final = "SELECT MAX(event_dw_regdate) FROM staging.events WHERE event_dw_regdate >= :fresh"
_TOKEN: Final = "JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_token')"  # noqa: S105 - a column
_REPORTED: Final = f"""
    SELECT card_token FROM typed.card_status WHERE status = 'STOLEN'
    UNION
    SELECT {_TOKEN} AS card_token
    FROM staging.events
    WHERE
        event_type = 'CARD_STATUS'
        AND event_dw_regdate >= :fresh
        AND JSON_EXTRACT_PATH_TEXT(event_json_data, 'status') = 'STOLEN'"""  # noqa: S608 - constants
_COLUMNS: Final = "event_id, event_type, event_date_origin, event_dw_regdate, event_json_data"
_FRESH: Final = f"""
SELECT {_COLUMNS}
FROM staging.events
WHERE
    event_type IN ('PAYMENT_ALERT', 'PAGE_EVENT', 'QUARANTINED_EVENT')
    AND event_dw_regdate >= :fresh
UNION ALL
SELECT event_id, event_type, event_date_origin, event_dw_regdate, '{{}}' AS event_json_data
FROM staging.events
WHERE event_type = 'RULE_ALERT' AND event_dw_regdate >= :fresh
UNION ALL
SELECT {_COLUMNS}
FROM staging.events
WHERE
    event_type = 'CARD_STATUS'
    AND event_dw_regdate >= :fresh
    AND {_TOKEN} IN ({_REPORTED})
    AND event_id NOT IN (SELECT event_id FROM typed.card_status WHERE event_dw_regdate < :since)
UNION ALL
SELECT {_COLUMNS}
FROM staging.events
WHERE
    event_type = 'PAYMENT_EVENT'
    AND event_dw_regdate >= :fresh
    AND {_TOKEN} IN ({_REPORTED})"""  # noqa: S608 - constants
"""A registry that is published again is known by its events' ids."""
_LISTED: Final = "'<listed>'"
"""Where the cards, payments or alerts go that a statement names, when all else is filled in."""
_WHERE: Final = f"card_token = {_LISTED}"
_NEW: Final = "{}(event_dw_regdate) >= :since"
_IN_TIME: Final = f"{_WHERE} AND event_date_origin >= :horizon"
_STATUSES: Final = typed_events.statuses(_LISTED, _NEW)
_QUARANTINED: Final = typed_events.quarantined(_LISTED, _NEW)
_PAYMENTS: Final = typed_events.payments(_IN_TIME, _NEW)
_ALERTS: Final = typed_events.alerts(_IN_TIME, _NEW)
_ALERTS_NAMED: Final = typed_events.alerts(f"alert_id IN ({_LISTED})", _NEW)
_PAGES: Final = typed_events.pages(_LISTED, "page_event.event_dw_regdate >= :since")
_OF_OTHER_RULES: Final = f"SELECT alert_id FROM typed.rule_alert WHERE alert_id IN ({_LISTED})"  # noqa: S608


class LoadedEvents:
    """A warehouse whose refresh may be behind, through its session."""

    def __init__(
        self,
        session: WarehouseSession,
        *,
        look_back: timedelta,
        reach: timedelta = REACH,
        translate: Callable[[str], str] = str,
    ) -> None:
        """Take the session, and how long before its report a theft is looked back to.

        A load may become visible by `reach` after its time; `translate` turns Redshift's SQL into
        what the session runs.
        """
        self._session = session
        self._look_back = look_back
        self._reach = reach
        self._translate = translate

    def read(self, since: datetime | None) -> Staged:
        """Give what was loaded since then, or all, with what is needed to judge it.

        Payments are left out that are judged by nothing new, and those that happened longer ago
        than a look-back reaches, unless an alert that is judged is as old.
        """
        start = EPOCH if since is None else since.astimezone(UTC).replace(tzinfo=None)
        fresh = min(start, self._refreshed())
        ((newest,),) = self._query(_NEWEST, fresh=fresh)
        if newest is None:
            return Staged(as_of=None)
        as_of = typed_events.read_utc(newest)
        gathered = Gathered(start.replace(tzinfo=UTC))
        for event_id, kind, happened, loaded, data in self._query(_FRESH, fresh=fresh, since=start):
            gathered.deliver(
                str(event_id),
                str(kind),
                typed_events.read_utc(happened),
                typed_events.read_utc(loaded),
                str(data),
            )
        self._add_older(gathered, as_of, start)
        self._add_pages(gathered, start)
        return gathered.staged(as_of)

    def _add_older(self, gathered: Gathered, as_of: datetime, since: datetime) -> None:
        """Add what is typed of the cards that something is judged of.

        Of a card with a new status all its payments are judged, so all of the look-back are read;
        of the others those alone of which a record or an alert is new.
        """
        turned, named = gathered.turned_cards, gathered.named_payments
        oldest = min([as_of - self._look_back, *gathered.judged_payment_times]) - SLACK
        values = {"since": since, "horizon": oldest.replace(tzinfo=None)}
        of_alerts = {**values, "horizon": (oldest - LONGEST_LIFE).replace(tzinfo=None)}
        for cards in _lists(gathered.cards):
            for row in self._query(_STATUSES, cards, since=since):
                gathered.add(typed_events.read_status(row))
            for row in self._query(_QUARANTINED, cards, since=since):
                gathered.add(typed_events.read_quarantined(row))
        of_turned = (f"card_token IN ({cards})" for cards in _lists(turned))
        of_named = _pairs((card, payment) for card, payment in named if card not in turned)
        for where in (*of_turned, *of_named):
            for row in self._query(_PAYMENTS, f"({where})", **values):
                gathered.add(typed_events.read_payment(row))
            for row in self._query(_ALERTS, f"({where})", **of_alerts):
                gathered.add(typed_events.read_alert(row))

    def _add_pages(self, gathered: Gathered, since: datetime) -> None:
        """Add the pages of alerts that are judged, and alerts that a page names which is."""
        for alerts in _lists(gathered.judged_alert_ids):
            for row in self._query(_ALERTS_NAMED, alerts, since=since):
                gathered.add(typed_events.read_alert(row))
            for row in self._query(_PAGES, alerts, since=since):
                gathered.add(typed_events.read_page(row))
            for (alert_id,) in self._query(_OF_OTHER_RULES, alerts):
                gathered.leave_out(str(alert_id))

    def _refreshed(self) -> datetime:
        """Give since when loads may be missing in the typed tables."""
        ((steps, as_of),) = self._query(_REFRESHED)
        if int(steps) < len(_STEPS) or read_time(as_of) == EPOCH:
            return EPOCH
        return read_time(as_of) - self._reach

    def _query(
        self, statement: str, listed: str = "", **values: int | datetime
    ) -> Sequence[tuple[Any, ...]]:
        bound = bind(self._translate(statement.strip()), **values)
        # Last: an id may look like a parameter.
        return self._session.query(bound.replace(_WHERE, listed).replace(_LISTED, listed))


def _lists(names: Collection[str]) -> Iterator[str]:
    """Give the names as SQL lists."""
    ordered = sorted(names)
    for start in range(0, len(ordered), LISTED):
        yield ", ".join(map(quoted, ordered[start : start + LISTED]))


def _pairs(payments: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Give conditions that name payments, by their card, as an index has them."""
    ordered = sorted(payments)
    for start in range(0, len(ordered), LISTED):
        by_card = groupby(ordered[start : start + LISTED], key=itemgetter(0))
        yield " OR ".join(
            f"(card_token = {quoted(card)} AND payment_id IN "
            f"({', '.join(quoted(payment) for _, payment in of_card)}))"
            for card, of_card in by_card
        )
