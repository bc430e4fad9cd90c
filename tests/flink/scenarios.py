"""Streams of envelopes for the tests: a line, and when it arrives."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

BASE = int(datetime(2026, 1, 15, 10, tzinfo=UTC).timestamp() * 1000)
"""Milliseconds; the scenarios' time zero."""
DAY = 86_400_000


def time_text(milliseconds: int) -> str:
    """Write a time, given in ms after BASE, the contract's way."""
    seconds, rest = divmod(BASE + milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def token(card: object) -> str:
    """Give a card's token."""
    return hashlib.sha256(str(card).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Arrival:
    """One line and its place in the stream: lines arrive by `at`."""

    at: int
    line: str


def _line(kind: str, origin: str | None, data: dict[str, object], event_id: str) -> str:
    record = {
        "type": kind,
        "event_id": event_id,
        "schema_version": 1,
        "event_date_origin": origin,
        "event_json_data": data,
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


def payment(
    name: str,
    card: object,
    time: int,
    *,
    amount: object = "12.50",
    currency: str | None = "EUR",
    origin: str | None = "",
    copy: int = 0,
    **changed: object,
) -> str:
    """Give a payment's line; `origin` replaces its time's text, `changed` fields of its data."""
    data = {
        "payment_id": f"pay_{name}",
        "account_id": f"acc_{card}",
        "user_id": f"usr_{card}",
        "card_token": token(card),
        "card_bin": "424242",
        "card_last4": f"{int(token(card), 16) % 10_000:04d}",
        "amount": amount,
        "currency": currency,
        "merchant_id": "mer_0007",
        "country": "MT",
        "city": "Valletta",
        "status": "AUTHORIZED",
        **changed,
    }
    text = time_text(time) if origin == "" else origin
    return _line("PAYMENT_EVENT", text, data, f"evt_{name}_{copy}")


def status(card: object, word: str, effective: int, published: int, **changed: object) -> str:
    """Give the line of a card's status."""
    data = {
        "card_token": token(card),
        "card_last4": "4242",
        "status": word,
        "effective_from": time_text(effective),
        "reason": "reported by holder",
        **changed,
    }
    key = f"{token(card)}|{word}|{time_text(effective)}"
    event_id = hashlib.sha256(key.encode()).hexdigest()
    return _line("CARD_STATUS", time_text(published), data, event_id)


def account(
    name: object, valid: int, published: int, *, midnight: int | None = None, **changed: object
) -> str:
    """Give the line of an account's version; `midnight`, in ms after BASE, is when spent counts to.

    By default that is the midnight before it is valid.
    """
    if midnight is None:
        midnight = (BASE + valid) // DAY * DAY - BASE
    data = {
        "account_id": f"acc_{name}",
        "account_name": "J*** D***",
        "holder_country": "MT",
        "opened_at": "2019-05-02T09:30:00.000Z",
        "credit_limit": "5000.00",
        "currency": "EUR",
        "spent": "100.00",
        "spent_until": time_text(midnight),
        "status": "ACTIVE",
        "risk_segment": "LOW",
        "valid_from": time_text(valid),
        **changed,
    }
    key = f"account|acc_{name}|{time_text(valid)}"
    event_id = hashlib.sha256(key.encode()).hexdigest()
    return _line("ACCOUNT", time_text(published), data, event_id)


SETTINGS: dict[str, object] = {
    "state": "on",
    "paging": "on",
    "severity": "medium",
    "amounts": [],
    "more_than": None,
    "window_seconds": None,
}


def rule(name: str, version: object, published: int, **changed: object) -> str:
    """Give the line of a rule's version; `amounts` by currency, `changed` other settings."""
    settings = SETTINGS | changed
    if isinstance(amounts := settings["amounts"], dict):
        said = [{"currency": each, "amount": amounts[each]} for each in sorted(amounts)]
        settings["amounts"] = said
    data = {"rule": name, "rule_version": version, "settings": settings}
    key = f"rule|{name}|{version}|{time_text(published)}"
    return _line("RULE", time_text(published), data, hashlib.sha256(key.encode()).hexdigest())


def heartbeat(time: int) -> str:
    """Give a heartbeat's line."""
    return _line("HEARTBEAT", time_text(time), {"source": "test"}, f"hb_{BASE + time}")


def in_order(arrivals: Iterable[Arrival]) -> list[str]:
    """Give the lines as they arrive."""
    return [a.line for a in sorted(arrivals, key=lambda a: a.at)]
