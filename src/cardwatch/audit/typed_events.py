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
from cardwatch.warehouse.ports import WarehouseSession
from cardwatch.warehouse.refresh import EPOCH, read_time
from cardwatch.warehouse.sql import bind

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
_STATUSES: Final = f"""
SELECT
    card_token,
    status,
    effective_from,
    MIN(event_date_origin) AS published_at,
    MIN(event_dw_regdate) AS loaded_at,
    CASE WHEN MIN(batch) >= :batch THEN 1 ELSE 0 END AS is_new
FROM typed.card_status
WHERE card_token IN ({_CARDS})
GROUP BY card_token, status, effective_from"""  # noqa: S608 - constants
_PAYMENTS: Final = f"""
SELECT
    event_id,
    payment_id,
    card_token,
    event_date_origin,
    event_dw_regdate,
    CASE WHEN batch >= :batch THEN 1 ELSE 0 END AS is_new,
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
WHERE card_token IN ({_CARDS})"""  # noqa: S608 - constants
_ALERTS: Final = f"""
SELECT
    alert_id,
    payment_id,
    card_token,
    event_date_origin,
    event_dw_regdate,
    CASE WHEN batch >= :batch THEN 1 ELSE 0 END AS is_new,
    late,
    COALESCE(found_by, 'stream') AS found_by
FROM typed.payment_alert
WHERE rule = 'stolen_card' AND (
    card_token IN ({_CARDS})
    OR alert_id IN (
        SELECT page_alerts.alert_id
        FROM facts.page_alerts
        INNER JOIN typed.page_event ON page_alerts.event_id = page_event.event_id
        WHERE page_event.batch >= :batch
    )
)"""  # noqa: S608 - constants
_PAGES: Final = """
SELECT
    page_alerts.alert_id,
    page_alerts.page_id,
    page_alerts.state,
    page_event.reason,
    page_alerts.repeat,
    page_alerts.happened_at,
    page_event.event_dw_regdate,
    CASE WHEN page_event.batch >= :batch THEN 1 ELSE 0 END AS is_new
FROM facts.page_alerts
INNER JOIN typed.page_event ON page_alerts.event_id = page_event.event_id
LEFT JOIN typed.rule_alert ON page_alerts.alert_id = rule_alert.alert_id
WHERE rule_alert.alert_id IS NULL AND page_alerts.alert_id IN (
    SELECT alert_id FROM typed.payment_alert WHERE batch >= :batch
    UNION
    SELECT since.alert_id
    FROM facts.page_alerts AS since
    INNER JOIN typed.page_event AS event ON since.event_id = event.event_id
    WHERE event.batch >= :batch
)"""
_QUARANTINED: Final = f"""
SELECT
    event_id,
    card_token,
    payment_id,
    happened_at,
    event_date_origin,
    event_dw_regdate,
    CASE WHEN batch >= :batch THEN 1 ELSE 0 END AS is_new
FROM typed.quarantined_event
WHERE kind = 'PAYMENT' AND card_token IN ({_CARDS})"""  # noqa: S608 - constants


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
            as_of=min(_utc(as_of), _utc(newest)),
            statuses=[_status(row) for row in self._query(_STATUSES, batch=batch)],
            payments=[_payment(row) for row in self._query(_PAYMENTS, batch=batch)],
            quarantined=[_quarantined(row) for row in self._query(_QUARANTINED, batch=batch)],
            alerts=[_alert(row) for row in self._query(_ALERTS, batch=batch)],
            pages=[_page(row) for row in self._query(_PAGES, batch=batch)],
        )

    def _query(self, statement: str, **values: int | datetime) -> Sequence[tuple[Any, ...]]:
        return self._session.query(bind(self._translate(statement.strip()), **values))


def _status(row: Sequence[Any]) -> StagedStatus:
    token, status, effective, published, loaded, new = row
    return StagedStatus(
        token, status, _utc(effective), _utc(published), _utc(loaded), new=bool(int(new))
    )


def _payment(row: Sequence[Any]) -> StagedPayment:
    event_id, payment_id, token, happened, loaded, new, *said = row
    account, user, card_bin, last4, amount, currency, merchant, country, city, status = said
    return StagedPayment(
        event_id,
        payment_id,
        token,
        _utc(happened),
        _utc(loaded),
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


def _alert(row: Sequence[Any]) -> StagedAlert:
    alert_id, payment_id, token, happened, loaded, new, late, found_by = row
    return StagedAlert(
        alert_id,
        payment_id,
        token,
        _utc(happened),
        _utc(loaded),
        new=bool(int(new)),
        late=bool(late),
        found_by=found_by,
    )


def _page(row: Sequence[Any]) -> StagedPage:
    alert_id, page_id, state, reason, repeat, happened, loaded, new = row
    return StagedPage(
        alert_id,
        page_id,
        state,
        reason,
        repeat=bool(repeat),
        happened_at=_utc(happened),
        loaded_at=_utc(loaded),
        new=bool(int(new)),
    )


def _quarantined(row: Sequence[Any]) -> QuarantinedPayment:
    event_id, token, payment_id, happened, arrived, loaded, new = row
    return QuarantinedPayment(
        event_id,
        token,
        payment_id,
        None if happened is None else _utc(happened),
        _utc(arrived),
        _utc(loaded),
        new=bool(int(new)),
    )


def _utc(value: Any) -> datetime:  # noqa: ANN401 - the Data API gives a time as text
    """Read a TIMESTAMP, which is UTC by convention."""
    return read_time(value).replace(tzinfo=UTC)
