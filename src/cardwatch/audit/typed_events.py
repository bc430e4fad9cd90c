"""The staged events as the warehouse's typed tables hold them: made from the contract, each once.

The SQL is Redshift's; it selects, and judges nothing.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from cardwatch.audit.ports import (
    QuarantinedPayment,
    Staged,
    StagedAlert,
    StagedPage,
    StagedPayment,
    StagedStatus,
)
from cardwatch.contract.page import TELLS_AGAIN
from cardwatch.warehouse.ports import WarehouseSession
from cardwatch.warehouse.refresh import EPOCH, read_time
from cardwatch.warehouse.sql import bind

_AGAIN: Final = ", ".join(f"'{kind}'" for kind in sorted(TELLS_AGAIN))
_LOADED: Final = "SELECT as_of, newest_load FROM marts.freshness"
_FIRST_BATCH: Final = """
SELECT COALESCE(MIN(CASE WHEN loaded_at >= :since THEN batch END), MAX(batch) + 1, 1)
FROM refresh.loads"""
"""The batch that what was loaded since then begins with, or the next one."""
_REPORTED: Final = "SELECT card_token FROM typed.card_status WHERE status = 'STOLEN'"
_CARDS: Final = f"""
    SELECT card_token FROM typed.payment_event
    WHERE batch >= :batch AND card_token IN ({_REPORTED})
    UNION
    SELECT card_token FROM typed.card_status
    WHERE batch >= :batch AND card_token IN ({_REPORTED})
    UNION
    SELECT card_token FROM typed.payment_alert
    WHERE batch >= :batch AND rule = 'stolen_card'
    UNION
    SELECT card_token FROM typed.quarantined_event
    WHERE batch >= :batch AND kind = 'PAYMENT'"""  # noqa: S608 - constants
"""The cards of which something was loaded since, as far as it matters."""


def statuses(cards: str, new: str) -> str:
    """Select the statuses of cards, each once.

    `cards` is a list of tokens or a query of them; `new` says of one row that it is audited, with
    {} in the place of what turns the column of several publications into the first one's.
    """
    return f"""
SELECT
    card_token,
    status,
    effective_from,
    MIN(event_date_origin) AS published_at,
    MIN(event_dw_regdate) AS loaded_at,
    CASE WHEN {new.format("MIN")} THEN 1 ELSE 0 END AS is_new
FROM typed.card_status
WHERE card_token IN ({cards})
GROUP BY card_token, status, effective_from"""  # noqa: S608 - constants


def payments(where: str, new: str) -> str:
    """Select records of payments."""
    return f"""
SELECT
    event_id,
    payment_id,
    card_token,
    event_date_origin,
    event_dw_regdate,
    CASE WHEN {new.format("")} THEN 1 ELSE 0 END AS is_new,
    account_id,
    user_id,
    card_bin,
    card_last4,
    amount,
    currency,
    merchant_id,
    country,
    city,
    status
FROM typed.payment_event
WHERE {where}"""  # noqa: S608 - constants


def alerts(where: str, new: str) -> str:
    """Select alerts of stolen cards."""
    return f"""
SELECT
    alert_id,
    payment_id,
    card_token,
    event_date_origin,
    event_dw_regdate,
    CASE WHEN {new.format("")} THEN 1 ELSE 0 END AS is_new,
    late,
    COALESCE(found_by, 'stream') AS found_by
FROM typed.payment_alert
WHERE rule = 'stolen_card' AND ({where})"""  # noqa: S608 - constants


def pages(alert_ids: str, new: str) -> str:
    """Select the pages of alerts, those of other rules and what tells of them again left out."""
    return f"""
SELECT
    page_alerts.alert_id,
    page_alerts.page_id,
    page_alerts.state,
    page_event.reason,
    page_alerts.repeat,
    page_alerts.happened_at,
    page_event.event_dw_regdate,
    CASE WHEN {new.format("")} THEN 1 ELSE 0 END AS is_new
FROM facts.page_alerts
INNER JOIN typed.page_event ON page_alerts.event_id = page_event.event_id
LEFT JOIN typed.rule_alert ON page_alerts.alert_id = rule_alert.alert_id
WHERE rule_alert.alert_id IS NULL
    AND COALESCE(page_alerts.kind, 'FIRST') NOT IN ({_AGAIN})
    AND page_alerts.alert_id IN ({alert_ids})"""  # noqa: S608 - constants


def quarantined(cards: str, new: str) -> str:
    """Select what is in quarantine of payments on cards."""
    return f"""
SELECT
    event_id,
    card_token,
    payment_id,
    happened_at,
    event_date_origin,
    event_dw_regdate,
    CASE WHEN {new.format("")} THEN 1 ELSE 0 END AS is_new
FROM typed.quarantined_event
WHERE kind = 'PAYMENT' AND card_token IN ({cards})"""  # noqa: S608 - constants


_NEW: Final = "{}(batch) >= :batch"
_NEW_PAGE: Final = "page_event.batch >= :batch"
_ALERTS_OF_PAGES: Final = """
        SELECT page_alerts.alert_id
        FROM facts.page_alerts
        INNER JOIN typed.page_event ON page_alerts.event_id = page_event.event_id
        WHERE page_event.batch >= :batch"""
_PAGED: Final = """
    SELECT alert_id FROM typed.payment_alert WHERE batch >= :batch
    UNION
    SELECT since.alert_id
    FROM facts.page_alerts AS since
    INNER JOIN typed.page_event AS event ON since.event_id = event.event_id
    WHERE event.batch >= :batch"""
_OF_CARDS: Final = f"card_token IN ({_CARDS}) OR alert_id IN ({_ALERTS_OF_PAGES})"


class TypedEvents:
    """The typed tables of one warehouse, through its session."""

    def __init__(self, session: WarehouseSession, *, translate: Callable[[str], str] = str) -> None:
        """Take the session; `translate` turns Redshift's SQL into what the session runs."""
        self._session = session
        self._translate = translate

    def read(self, since: datetime | None) -> Staged:
        """Give what was loaded since then, or all, with what is needed to judge it.

        Between two of its queries a refresh may add to the tables. Payments are read before alerts
        and those before pages, so that nothing is missed that was there.
        """
        ((as_of, newest),) = self._query(_LOADED)
        if newest is None or read_time(as_of) == EPOCH:
            return Staged(as_of=None)
        batch = 0
        if since is not None:
            ((first,),) = self._query(
                _FIRST_BATCH, since=since.astimezone(UTC).replace(tzinfo=None)
            )
            batch = int(first)
        return Staged(
            as_of=min(read_utc(as_of), read_utc(newest)),
            statuses=[read_status(row) for row in self._query(statuses(_CARDS, _NEW), batch=batch)],
            payments=[
                read_payment(row)
                for row in self._query(payments(f"card_token IN ({_CARDS})", _NEW), batch=batch)
            ],
            quarantined=[
                read_quarantined(row) for row in self._query(quarantined(_CARDS, _NEW), batch=batch)
            ],
            alerts=[read_alert(row) for row in self._query(alerts(_OF_CARDS, _NEW), batch=batch)],
            pages=[read_page(row) for row in self._query(pages(_PAGED, _NEW_PAGE), batch=batch)],
        )

    def _query(self, statement: str, **values: int | datetime) -> Sequence[tuple[Any, ...]]:
        return self._session.query(bind(self._translate(statement.strip()), **values))


def read_status(row: Sequence[Any]) -> StagedStatus:
    """Read a row of `statuses`."""
    token, status, effective, published, loaded, new = row
    return StagedStatus(
        token,
        status,
        read_utc(effective),
        read_utc(published),
        read_utc(loaded),
        new=bool(int(new)),
    )


def read_payment(row: Sequence[Any]) -> StagedPayment:
    """Read a row of `payments`."""
    event_id, payment_id, token, happened, loaded, new, *said = row
    account, user, card_bin, last4, amount, currency, merchant, country, city, status = said
    return StagedPayment(
        event_id,
        payment_id,
        token,
        read_utc(happened),
        read_utc(loaded),
        new=bool(int(new)),
        account_id=account,
        user_id=user,
        card_bin=card_bin,
        card_last4=last4,
        amount=None if amount is None else Decimal(str(amount)),
        currency=currency,
        merchant_id=merchant,
        country=country,
        city=city,
        status=status,
    )


def read_alert(row: Sequence[Any]) -> StagedAlert:
    """Read a row of `alerts`."""
    alert_id, payment_id, token, happened, loaded, new, late, found_by = row
    return StagedAlert(
        alert_id,
        payment_id,
        token,
        read_utc(happened),
        read_utc(loaded),
        new=bool(int(new)),
        late=bool(late),
        found_by=found_by,
    )


def read_page(row: Sequence[Any]) -> StagedPage:
    """Read a row of `pages`."""
    alert_id, page_id, state, reason, repeat, happened, loaded, new = row
    return StagedPage(
        alert_id,
        page_id,
        state,
        reason,
        repeat=bool(repeat),
        happened_at=read_utc(happened),
        loaded_at=read_utc(loaded),
        new=bool(int(new)),
    )


def read_quarantined(row: Sequence[Any]) -> QuarantinedPayment:
    """Read a row of `quarantined`."""
    event_id, token, payment_id, happened, arrived, loaded, new = row
    return QuarantinedPayment(
        event_id,
        token,
        payment_id,
        None if happened is None else read_utc(happened),
        read_utc(arrived),
        read_utc(loaded),
        new=bool(int(new)),
    )


def read_utc(value: Any) -> datetime:  # noqa: ANN401 - the Data API gives a time as text
    """Read a TIMESTAMP, which is UTC by convention."""
    return read_time(value).replace(tzinfo=UTC)
