"""The minutes of merchants and users in plain Python, written apart from the SQL.

It reads the lines of a file one by one, as one task of the job does, and keeps everything in
memory. Times are milliseconds since the epoch.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from tests.flink.oracle import (
    TOKEN,
    cut,
    envelope,
    instant_text,
    money,
    read_amount,
    read_lines,
    sha,
)

MINUTE = 60_000


@dataclass
class Minute:
    """What one payer or payee did in one minute and currency."""

    payments: int = 0
    declined: int = 0
    refunded: int = 0
    charges: list[Decimal] = field(default_factory=list)
    refunds: list[Decimal] = field(default_factory=list)
    cards: set[str] = field(default_factory=set)


def minutes(
    lines: Iterable[str],
    kind: Literal["merchant", "user"],
    *,
    rows: int = 1_000,
    delay_ms: int = 1_000,
) -> list[dict[str, Any]]:
    """Give every MERCHANT_MINUTE or USER_MINUTE, of each minute the first `rows`."""
    of_minute: defaultdict[int, defaultdict[tuple[str, str | None], Minute]] = defaultdict(
        lambda: defaultdict(Minute)
    )
    for counted, data in _outcomes(lines, delay_ms):
        who = data.get(f"{kind}_id")
        if not isinstance(who, str) or not 1 <= len(who) <= 128:
            continue
        currency = cut(data.get("currency"), 128) or None
        minute = of_minute[counted // MINUTE * MINUTE][who, currency]
        amount = read_amount(data.get("amount"))
        minute.payments += 1
        minute.cards.add(data["card_token"])
        if data.get("status") == "DECLINED":
            minute.declined += 1
        elif data.get("status") == "REFUNDED":
            minute.refunded += 1
            minute.refunds += [amount] if amount is not None else []
        else:
            minute.charges += [amount] if amount is not None else []
    found = []
    for start, of_whom in of_minute.items():
        places = sorted(
            of_whom.items(), key=lambda item: (-item[1].payments, item[0][0], item[0][1] or "")
        )
        found += [_event(kind, start, *whose, minute) for whose, minute in places[:rows]]
    return found


def _outcomes(lines: Iterable[str], delay_ms: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give each payment once for each of its outcomes, and the time as of which it counts."""
    known = set()
    for row, watermark in read_lines(lines, delay_ms):
        time, data = row["time"], row["data"]
        if (
            row["type"] == "PAYMENT_EVENT"
            and data.get("payment_id") is not None
            and TOKEN.fullmatch(data.get("card_token") or "")
        ):
            said = data.get("status")
            outcome = said if said in {"DECLINED", "REFUNDED"} else "charged"
            key = (data["payment_id"], data["card_token"], outcome)
            if key not in known:
                known.add(key)
                yield max(time, watermark + 1), data


def _event(kind: str, start: int, who: str, currency: str | None, minute: Minute) -> dict[str, Any]:
    window = {"window_start": instant_text(start), "window_end": instant_text(start + MINUTE)}
    event_id = sha(f"{kind}_minute", who, currency or "", window["window_start"], "1")
    data = {
        f"{kind}_id": who,
        "currency": currency,
        **window,
        "payment_count": minute.payments,
        "declined": minute.declined,
        "refunded": minute.refunded,
        "amount": _total(minute.charges, currency),
        "refunded_amount": _total(minute.refunds, currency),
        "card_count": len(minute.cards),
    }
    return envelope(f"{kind.upper()}_MINUTE", event_id, start + MINUTE, data)


def _total(amounts: list[Decimal], currency: str | None) -> str | None:
    return money(sum(amounts, Decimal(0)), currency) if amounts else None
