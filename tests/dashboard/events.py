"""Events of the last minutes, for what looks at the last minutes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cardwatch.contract.alert import alert_id
from cardwatch.contract.attributed import attributed_event_id
from cardwatch.contract.fields import format_time
from cardwatch.contract.rule_alert import EntityKind, rule_alert_id

CARD = "00000000000000000000000000000001"
OTHER_CARD = "00000000000000000000000000000002"
Event = dict[str, Any]


def ago(seconds: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=seconds)


def payment(name: str, at: datetime, *, card: str = CARD, **more: str) -> Event:
    data = {
        "payment_id": name,
        "account_id": "acc_00042",
        "user_id": "usr_00017",
        "card_token": card,
        "card_bin": "424242",
        "card_last4": "4242" if card == CARD else "1881",
        "amount": "12.50",
        "currency": "EUR",
        "merchant_id": "mer_0007",
        "country": "MT",
        "city": "Valletta",
        "status": "AUTHORIZED",
        **more,
    }
    return _envelope("PAYMENT_EVENT", f"{name}|{data['status']}", at, data)


def alert(of: Event, *, after: float = 3, **more: object) -> Event:
    """Give the alert of a payment with a stolen card, made some seconds after it."""
    data = of["event_json_data"]
    at = datetime.fromisoformat(of["event_date_origin"])
    name = alert_id(data["payment_id"], data["card_token"])
    copied = {key: value for key, value in data.items() if key != "entry_mode"}
    found = {
        "alert_id": name,
        "rule": "stolen_card",
        "rule_version": 1,
        "reason": "card reported stolen 2026-01-26T16:03:09.000Z",
        "reported_at": "2026-01-26T16:03:09.000Z",
        "window_start": format_time(at),
        "window_end": format_time(at + timedelta(seconds=5)),
        "late": False,
        "detected_at": format_time(at + timedelta(seconds=after)),
    }
    return _envelope("PAYMENT_ALERT", name, at, {**found, **copied, **more})


def score(of: Event, *factors: tuple[str, int], not_judged: Sequence[str] = ()) -> Event:
    """Give the score of a payment by factors with their points, the account unknown."""
    data = of["event_json_data"]
    copied = {key: value for key, value in data.items() if key not in {"card_bin", "entry_mode"}}
    account = ("account_name", "holder_country", "opened_at", "credit_limit", "account_currency")
    unknown = dict.fromkeys((*account, "account_status", "risk_segment", "account_valid_from"))
    found = {
        "account_known": False,
        "late": False,
        "not_judged": list(not_judged),
        "score": min(100, sum(points for _, points in factors)),
        "score_version": 1,
        "factors": [
            {"factor": name, "points": points, "observed": f"saw {name}", "threshold": "a limit"}
            for name, points in factors
        ],
        "detected_at": of["event_date_origin"],
    }
    at = datetime.fromisoformat(of["event_date_origin"])
    name = attributed_event_id(data["payment_id"], data["card_token"])
    return _envelope("PAYMENT_ATTRIBUTED", name, at, {**copied, **unknown, **found})


def rule_alert(
    rule: str, kind: EntityKind, entity: str, at: datetime, *, severity: str = "high"
) -> Event:
    name = rule_alert_id(rule, 1, kind, entity, currency="EUR", first_payment_id="pay_rule")
    data = {
        "alert_id": name,
        "rule": rule,
        "rule_version": 1,
        "severity": severity,
        "entity_kind": kind,
        "entity_id": entity,
        "card_last4": "4242" if kind == "card" else None,
        "currency": "EUR",
        "observed": "25000.00",
        "threshold": "10000.00",
        "explanation": "A single payment of 25000.00 EUR is above the limit of 10000.00 EUR.",
        "window_start": None,
        "window_end": None,
        "detected_at": format_time(at + timedelta(seconds=1)),
        "payment_ids": ["pay_rule"],
        "payment_count": 1,
    }
    return _envelope("RULE_ALERT", name, at, data)


def rule(name: str, version: int, at: datetime, **changed: object) -> Event:
    settings = {
        "state": "on",
        "paging": "on",
        "severity": "medium",
        "amounts": [{"currency": "EUR", "amount": "8000"}],
        "more_than": None,
        "window_seconds": None,
        **changed,
    }
    data = {"rule": name, "rule_version": version, "settings": settings, "note": "for a test"}
    return _envelope("RULE", f"{name}|{version}", at, data)


def page(name: str, at: datetime, *alerts: Event, repeat: bool = False) -> Event:
    ids = [each["event_json_data"]["alert_id"] for each in alerts]
    data = {"page_id": name, "state": "SENT", "alert_ids": ids, "channel": "sns", "repeat": repeat}
    return _envelope("PAGE_EVENT", f"{name}|SENT", at, data)


def stolen(card: str, at: datetime) -> Event:
    data = {
        "card_token": card,
        "card_last4": "4242",
        "status": "STOLEN",
        "effective_from": format_time(at),
        "reason": "reported by holder",
    }
    return _envelope("CARD_STATUS", f"{card}|{format_time(at)}", at, data)


def _envelope(kind: str, name: str, at: datetime, data: Mapping[str, object]) -> Event:
    return {
        "type": kind,
        "event_id": name,
        "schema_version": 1,
        "event_date_origin": format_time(at),
        "event_json_data": dict(data),
    }
