"""The specification of the two detections in plain Python, written apart from the SQL.

It reads the lines of a file one by one, as one task of the job does, and keeps everything in
memory. Times are milliseconds since the epoch.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from functools import cached_property
from typing import Any, Self, TypeVar

EARLIEST = 1_577_836_800_000  # 2020-01-01
CLOCK_SKEW = 10_000
WATERMARK_STEP = 100
ALERT_WINDOW = 5_000
SUMMARY_WINDOW = 3_600_000
SUMMARY_SLIDE = 10_000
TEN_MINUTES = 600_000
FOREVER = 2**62
COPIED = ("account_id", "user_id", "card_bin", "card_last4", "currency", "merchant_id", "country")

TIME = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00)",
    re.ASCII,
)
TOKEN = re.compile(r"[0-9a-f]{32}")
CANARY = "ca" * 16
"""The card of canaries, which alert and are in no summary."""
# ISO 4217's minor units. What has none there (metals, tokens, unknown codes) keeps its digits.
MINOR_UNITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN "
        "BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB "
        "EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS "
        "KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
        "MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD "
        "SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS "
        "UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
DECIMALS = {code: digits for digits, codes in MINOR_UNITS.items() for code in codes.split()}


@dataclass
class Card:
    """What a card's statuses so far say of it: the three times that the job keeps."""

    first_stolen: int | None = None
    stolen: int | None = None
    active: int | None = None

    def learn(self, status: str, effective: int) -> None:
        if status == "ACTIVE":
            self.active = max(effective, self.active or effective)
        if status == "STOLEN":
            self.stolen = max(effective, self.stolen or effective)
            self.first_stolen = min(effective, self.first_stolen or effective)

    def stolen_from(self, time: int) -> int | None:
        """Since when the card is stolen at this time; None when it is not."""
        if self.stolen is None or self.first_stolen is None:
            return None
        if self.stolen <= time:
            cleared = self.active is not None and self.stolen < self.active <= time
            return None if cleared else self.stolen
        # Reported again later: stolen since the first report, if nothing newer says ACTIVE.
        cleared = self.active is not None and self.active > self.first_stolen
        return self.first_stolen if self.first_stolen <= time and not cleared else None


@dataclass(frozen=True)
class Stolen:
    time: int
    watermark: int
    reported: int
    amount: Decimal | None
    data: dict[str, Any]

    @cached_property
    def cost(self) -> tuple[str, Decimal] | None:
        """What it cost, if anything that a total counts: currency and amount."""
        currency, amount = self.data.get("currency"), self.amount
        if self.data.get("status") in {"DECLINED", "REFUNDED"} or currency is None:
            return None
        return None if amount is None or money(amount, currency) is None else (currency, amount)


def detect(lines: Iterable[str], *, delay_ms: int = 1_000) -> list[dict[str, Any]]:
    """Give every alert and summary, without detected_at, alerts first, by window end, then id."""
    stolen = _stolen(lines, delay_ms)
    return [*_alerts(stolen), *_summaries(stolen)]


def detect_alerts(lines: Iterable[str], *, delay_ms: int = 1_000) -> list[dict[str, Any]]:
    """Give the alerts alone: an hour of summaries of many payments takes long."""
    return _alerts(_stolen(lines, delay_ms))


def _stolen(lines: Iterable[str], delay_ms: int) -> Collection[Stolen]:
    cards: defaultdict[str, Card] = defaultdict(Card)
    stolen: dict[tuple[str, str], Stolen] = {}
    for row, watermark in read_lines(lines, delay_ms):
        time, data = row["time"], row["data"]
        token = data.get("card_token")
        if row["type"] == "CARD_STATUS" and TOKEN.fullmatch(token):
            cards[token].learn(data.get("status"), time)
        if row["type"] == "PAYMENT_EVENT" and data.get("payment_id") is not None and token:
            reported = cards[token].stolen_from(time)
            if reported is not None:
                found = Stolen(time, watermark, reported, read_amount(data.get("amount")), data)
                stolen.setdefault((data["payment_id"], token), found)
    return stolen.values()


def _alerts(stolen: Iterable[Stolen]) -> list[dict[str, Any]]:
    alerts = []
    for s in stolen:
        data = s.data
        start = s.time // ALERT_WINDOW * ALERT_WINDOW
        alert_id = sha(data["payment_id"], data["card_token"], "stolen_card", "1")
        reported = instant_text(s.reported)
        alerts.append(
            envelope(
                "PAYMENT_ALERT",
                alert_id,
                s.time,
                {
                    "alert_id": alert_id,
                    "rule": "stolen_card",
                    "rule_version": 1,
                    "reason": f"card reported stolen {reported}",
                    "reported_at": reported,
                    "window_start": instant_text(start),
                    "window_end": instant_text(start + ALERT_WINDOW),
                    "late": start + ALERT_WINDOW - 1 <= s.watermark,
                    "payment_id": data["payment_id"][:128],
                    "card_token": data["card_token"],
                    "amount": money(s.amount, data.get("currency")),
                    "city": cut(data.get("city"), 64),
                    "status": cut(data.get("status"), 128),
                    **{field: cut(data.get(field), 128) for field in COPIED},
                },
            )
        )
    return sorted(alerts, key=_order)


def _summaries(stolen: Iterable[Stolen]) -> list[dict[str, Any]]:
    windows: defaultdict[int, list[Stolen]] = defaultdict(list)
    digits: defaultdict[int, list[Stolen]] = defaultdict(list)
    for s in stolen:
        if s.data["card_token"] == CANARY:
            continue
        first = s.time // SUMMARY_SLIDE * SUMMARY_SLIDE + SUMMARY_SLIDE
        after = first + SUMMARY_WINDOW
        for end in range(first, _digits_end(s, after), SUMMARY_SLIDE):
            if end - 1 > s.watermark:  # the window had not fired when the payment came
                digits[end].append(s)
                if end < after:
                    windows[end].append(s)
    return [_summary(end, rows, digits[end]) for end, rows in sorted(windows.items())]


def _digits_end(s: Stolen, after: int) -> int:
    """The first fire that does not show a payment's digits any more.

    A card is shown with those of its payments since the ten minutes in which the hour began: to the
    end of those that count a payment last, or begin an hour after it, unless it came late.
    """
    was_late = after - SUMMARY_WINDOW - 1 <= s.watermark
    last = after - SUMMARY_SLIDE - (SUMMARY_SLIDE if was_late else 0)
    return max(after, last // TEN_MINUTES * TEN_MINUTES + TEN_MINUTES + SUMMARY_SLIDE)


def _summary(end: int, rows: list[Stolen], digits: list[Stolen]) -> dict[str, Any]:
    cards = Counter(s.data["card_token"] for s in rows)
    last4: dict[str, str] = {}
    amounts: defaultdict[str, list[Decimal]] = defaultdict(list)
    for s in digits:
        token, number = s.data["card_token"], s.data.get("card_last4")
        if number is not None:
            last4[token] = max(last4.get(token, ""), number)
    for s in rows:
        if s.cost is not None:
            currency, amount = s.cost
            amounts[currency].append(amount)
    top = sorted(cards.items(), key=lambda item: (-item[1], item[0]))[:5]
    data = {
        "window_start": instant_text(end - SUMMARY_WINDOW),
        "window_end": instant_text(end),
        "payment_count": len(rows),
        "declined": sum(s.data.get("status") == "DECLINED" for s in rows),
        "refunded": sum(s.data.get("status") == "REFUNDED" for s in rows),
        "card_count": len(cards),
        "totals": [
            {"currency": c, "count": len(values), "amount": total}
            for c, values in sorted(amounts.items())
            if (total := money(sum(values, Decimal(0)), c)) is not None
        ],
        "top_cards": [
            {"card_token": token, "card_last4": last4.get(token), "payment_count": count}
            for token, count in top
        ],
    }
    return envelope("PAYMENT_ALERT_SUMMARY", sha("summary", instant_text(end), "1"), end, data)


def read_lines(lines: Iterable[str], delay_ms: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Give each record that takes part, and the watermark that it meets."""
    now = datetime.now(UTC).timestamp() * 1000
    watermark = -FOREVER
    for line in lines:
        row = read_line(line, now)
        if row is None:
            continue
        yield row, watermark
        passed = row["time"] // WATERMARK_STEP * WATERMARK_STEP - delay_ms
        watermark = max(watermark, passed) if passed > 0 else watermark


@dataclass(frozen=True)
class RuleVersion:
    """A version of a rule, as an event or the artifact says it."""

    since: int
    """From when on it is known: not behind the watermark that it met."""
    published: int
    number: int
    said: Mapping[str, Any]
    """Its settings."""

    @classmethod
    def in_the_artifact(cls, **said: object) -> Self:
        return cls(-FOREVER, -FOREVER, 1, {"state": "on", "paging": "on", **said})

    @classmethod
    def read(cls, lines: Iterable[str], delay_ms: int, rule: str) -> Iterator[Self]:
        for row, watermark in read_lines(lines, delay_ms):
            data = row["data"]
            if row["type"] == "RULE" and data["rule"] == rule:
                since = max(row["time"], watermark + 1)
                yield cls(since, row["time"], data["rule_version"], data["settings"])


Version = TypeVar("Version", bound=RuleVersion)


def in_force_and_in_shadow(
    versions: Iterable[Version], moment: int
) -> tuple[Version, Version | None]:
    """Give the version in force at a moment, and the one in shadow where there is one."""
    known = sorted(
        (version for version in versions if version.since <= moment),
        key=lambda version: (version.published, version.number),
    )
    in_force = [version for version in known if version.said["paging"] != "shadow"][-1]
    return in_force, None if known[-1] is in_force else known[-1]


def read_line(line: str, now: float) -> dict[str, Any] | None:
    """Give type, event time and data of a record that takes part, else None."""
    try:
        record = json.loads(line, parse_float=Decimal)
    except ValueError:
        record = None
    if not isinstance(record, dict) or not isinstance(data := record.get("event_json_data"), dict):
        return None
    kind, origin = record.get("type"), instant(record.get("event_date_origin"))
    if origin is None or not EARLIEST <= origin <= now + CLOCK_SKEW:
        return None
    time = origin
    if kind == "CARD_STATUS":
        effective = instant(data.get("effective_from"))
        if effective is None or not EARLIEST <= effective <= origin or not data.get("card_token"):
            return None
        time = effective
    if kind == "ACCOUNT":
        valid = instant(data.get("valid_from"))
        if valid is None or not EARLIEST <= valid <= origin:
            return None
        time = valid
    known = kind in {"PAYMENT_EVENT", "CARD_STATUS", "ACCOUNT", "RULE", "HEARTBEAT"}
    return {"type": kind, "time": time, "data": data} if known else None


def instant(value: object) -> int | None:
    found = TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        seconds = datetime.fromisoformat(found[1] + found[3]).timestamp()
    except ValueError:
        return None
    return int(seconds) * 1000 + int((found[2] or ".0")[1:4].ljust(3, "0"))


def instant_text(time: int) -> str:
    return f"{datetime.fromtimestamp(time // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{time % 1000:03d}Z"


def read_amount(value: object) -> Decimal | None:
    """Give an amount to four decimals; None for what is none or too long."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        with localcontext(prec=60):
            amount = Decimal(value).quantize(Decimal("0.0001"), ROUND_HALF_UP)
    except InvalidOperation:
        return None
    return amount if abs(amount) < 10**15 else None


def money(amount: Decimal | None, currency: object) -> str | None:
    if amount is None:
        return None
    with localcontext(prec=60):
        # Without a minor unit: two decimals where that loses nothing.
        digits = DECIMALS.get(str(currency), 2 if amount == round(amount, 2) else 4)
        rounded = amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    if abs(rounded) >= 10**15:
        return None
    return format(abs(rounded) if rounded == 0 else rounded, "f")


def cut(value: object, length: int) -> str | None:
    return value[:length] if isinstance(value, str) else None


def sha(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def envelope(kind: str, event_id: str, time: int, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": kind,
        "event_id": event_id,
        "schema_version": 1,
        "event_date_origin": instant_text(time),
        "event_json_data": data,
    }


def _order(record: dict[str, Any]) -> tuple[str, str]:
    return record["event_json_data"]["window_end"], record["event_id"]
