"""The specification of the risk score in plain Python, written apart from the SQL.

It reads the lines of a file one by one, as one task of the job does, and keeps everything in
memory. Times are milliseconds since the epoch.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from math import asin, cos, radians, sin, sqrt
from typing import Any

from tests.flink.oracle import (
    TOKEN,
    Card,
    RuleVersion,
    cut,
    envelope,
    in_force_and_in_shadow,
    instant,
    instant_text,
    money,
    read_amount,
    read_lines,
    sha,
)

DAY = 86_400_000
MINUTE = 60_000
POINTS = {
    # By the artifact's version of the rule high_score.
    "stolen_card": 60,
    "impossible_travel": 40,
    "over_limit": 30,
    "decline_streak": 30,
    "velocity_card": 25,
    "amount_deviation": 25,
    "velocity_user": 20,
    "first_in_country": 15,
    "velocity_merchant": 10,
    "young_account": 10,
}
WORDS = {
    "stolen_card": "stolen card",
    "impossible_travel": "impossible travel",
    "over_limit": "over the limit",
    "decline_streak": "declined before",
    "velocity_card": "many payments of the card",
    "amount_deviation": "unusual amount",
    "velocity_user": "many payments of the user",
    "first_in_country": "first payment in the country",
    "velocity_merchant": "many payments at the merchant",
    "young_account": "young account",
}
PRESENT = {"CHIP", "CONTACTLESS", "MAGSTRIPE", "KEYED"}
ABSENT = {"ECOMMERCE", "MAIL_OR_TELEPHONE", "RECURRING"}
PARTS = {
    "account_name": re.compile(r"[^\s*0-9]\*+( [^\s*0-9]\*+)*"),
    "holder_country": re.compile("[A-Z]{2}"),
    "credit_limit": re.compile(r"[0-9]{1,15}(\.[0-9]{1,4})?"),
    "currency": re.compile("[A-Z]{3}"),
    "spent": re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,4})?"),
    "status": re.compile("ACTIVE|BLOCKED|CLOSED"),
    "risk_segment": re.compile("LOW|MEDIUM|HIGH"),
}
"""What a version of an account must say."""
DEGREES = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,6})?")

Judgement = tuple[str, str] | bool | None
"""What was observed and against what; False when the factor did not fire, None: not judged."""
Place = tuple[float, float]


@dataclass
class Payments:
    """What has come of one key: of a card, a user, a merchant or an account."""

    times: list[int] = field(default_factory=list)
    places: list[tuple[Place, int]] = field(default_factory=list)
    declined_in_a_row: int = 0
    countries: set[Any] = field(default_factory=set)
    count: int = 0

    def velocity(self, time: int, more_than: int) -> Judgement:
        if len(self.times) < more_than or time - self.times[-more_than] >= MINUTE:
            return False
        seconds = max(0, (time - self.times[-more_than]) // 1000)
        return f"{more_than + 1} payments in {seconds} s", f"more than {more_than} in 60 s"


@dataclass
class Habit:
    """What an account charged before, in one currency."""

    amounts: list[Decimal] = field(default_factory=list)

    def unusual(self, amount: Decimal, currency: str) -> Judgement:
        count = len(self.amounts)
        if count < 5:
            return None
        mean = float(sum(self.amounts)) / count
        with localcontext(prec=60):
            squares = float(sum(each * each for each in self.amounts))
        deviation = max(sqrt(max(squares / count - mean * mean, 0)), mean / 10)
        if float(amount) - mean <= 3 * deviation:
            return False
        shown = money(amount, currency) or format(amount, ".4f")
        observed = f"{shown} {currency[:16]} after {count} payments with a mean of"
        threshold = f"3 deviations of {hundredths(deviation)} above the mean"
        return f"{observed} {hundredths(mean)}", threshold


ARTIFACT = RuleVersion.in_the_artifact(severity="high", threshold=70, points=POINTS)


@dataclass
class Known:
    """All that has come so far."""

    rules: Sequence[RuleVersion] = (ARTIFACT,)
    """The versions of the whole stream: which holds is a question of time, not of arrival."""
    cards: defaultdict[str, Card] = field(default_factory=lambda: defaultdict(Card))
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: defaultdict[tuple[str, str], set[str]] = field(
        default_factory=lambda: defaultdict(set)
    )
    spent: defaultdict[tuple[Any, Any, int], Decimal] = field(
        default_factory=lambda: defaultdict(Decimal)
    )
    habits: defaultdict[tuple[Any, Any], Habit] = field(default_factory=lambda: defaultdict(Habit))
    of: defaultdict[tuple[str, Any], Payments] = field(
        default_factory=lambda: defaultdict(Payments)
    )


def attribute(lines: Iterable[str], *, delay_ms: int = 1_000) -> list[dict[str, Any]]:
    """Give the PAYMENT_ATTRIBUTED of every payment and the alerts of high scores, by event_id.

    Both are without detected_at.
    """
    lines = list(lines)
    known = Known(rules=(ARTIFACT, *RuleVersion.read(lines, delay_ms, "high_score")))
    found = []
    for row, watermark in read_lines(lines, delay_ms):
        time, data = row["time"], row["data"]
        token = data.get("card_token")
        if row["type"] == "CARD_STATUS" and TOKEN.fullmatch(token):
            known.cards[token].learn(data.get("status"), time)
        if row["type"] == "ACCOUNT":
            learn_version(known, time, data)
        is_payment = row["type"] == "PAYMENT_EVENT" and data.get("payment_id") is not None
        if is_payment and TOKEN.fullmatch(token or ""):
            found += judge(known, time, data, watermark=watermark)
    return sorted(found, key=lambda record: (record["type"], record["event_id"]))


def learn_version(known: Known, time: int, data: dict[str, Any]) -> None:
    opened, until = instant(data.get("opened_at")), instant(data.get("spent_until"))
    valid = all(pattern.fullmatch(str(data.get(name))) for name, pattern in PARTS.items())
    extra = {"payment_id", "card_token", "user_id", "merchant_id", "country"} & data.keys()
    if not valid or extra or len(data["account_name"]) > 64:
        return
    if data.get("account_id") is None or opened is None or until is None:
        return
    if max(opened, until) > time:
        return
    version = {**data, "valid": time, "opened": opened, "until": until}
    newest = known.versions.setdefault(data["account_id"], version)
    known.versions[data["account_id"]] = max(newest, version, key=rank)


def rank(version: Mapping[str, Any]) -> tuple[object, ...]:
    """Give what makes a version the newest: valid_from; of two that share it the greater one."""
    parts = ("currency", "credit_limit", "spent", "status", "risk_segment", "holder_country")
    times = (version["valid"], version["opened"], version["until"])
    return *times, *(version[part] for part in parts), version["account_name"]


def judge(known: Known, time: int, data: dict[str, Any], *, watermark: int) -> list[dict[str, Any]]:
    late = time <= watermark
    account, currency, country = (data.get(n) for n in ("account_id", "currency", "country"))
    amount, day = read_amount(data.get("amount")), time // DAY * DAY
    status = data.get("status")
    kind = {"DECLINED": "declined", "REFUNDED": "refund"}.get(str(status), "charge")
    of_payment = known.records[data["payment_id"], data["card_token"]]
    is_first, is_new = not of_payment, kind not in of_payment
    of_payment.add(kind)
    if is_new and amount is not None and kind != "declined":
        known.spent[account, currency, day] += amount if kind == "charge" else -amount
    if not is_first:
        return []
    card = known.of["card", data["card_token"]]
    user = known.of["user", data.get("user_id")]
    merchant = known.of["merchant", data.get("merchant_id")]
    holder = known.of["account", account]
    place = place_of(data)
    version = known.versions.get(str(account))
    holds = version if version is not None and version["valid"] <= time else None
    factors: dict[str, Judgement] = {
        "stolen_card": stolen(known.cards[data["card_token"]], time),
        "impossible_travel": travel(card, time, place, data.get("entry_mode")),
        "over_limit": None
        if holds is None or amount is None or currency != holds["currency"] or holds["until"] < day
        else over_limit(holds, known.spent[account, currency, day]),
        "decline_streak": None if late else streak(card, kind),
        "velocity_card": None if late else card.velocity(time, 5),
        "amount_deviation": None
        if account is None or currency is None or amount is None or amount <= 0
        else known.habits[account, currency].unusual(amount, currency),
        "velocity_user": None if late or data.get("user_id") is None else user.velocity(time, 5),
        "first_in_country": None
        if account is None or country is None
        else bool(holder.count)
        and country not in holder.countries
        and (f"first payment in {country[:128]}", "a country that the account paid in before"),
        "velocity_merchant": None
        if late or data.get("merchant_id") is None
        else merchant.velocity(time, 20),
        "young_account": None if holds is None else young(holds, time),
    }
    for key in (card, user, merchant):
        key.times.append(time)
    card.declined_in_a_row = card.declined_in_a_row + 1 if kind == "declined" else 0
    if place is not None:
        card.places.append((place, time))
    holder.count += 1
    holder.countries.add(country)
    if kind == "charge" and amount is not None and 0 < amount < 10**9:
        known.habits[account, currency].amounts.append(amount)
    rules = in_force_and_in_shadow(known.rules, max(time, watermark + 1))
    fired = {name: seen for name, seen in factors.items() if isinstance(seen, tuple)}
    attributed = written(
        data, time, version, factors, rules[0], late=late, amount=money(amount, currency)
    )
    return [attributed, *(a for rule in rules if rule for a in alerts(data, time, fired, rule))]


def stolen(card: Card, time: int) -> Judgement:
    since = card.stolen_from(time)
    if since is None:
        return False
    return f"reported stolen {instant_text(since)}", "stolen when the payment was made"


def travel(card: Payments, time: int, place: Place | None, mode: object) -> Judgement:
    if place is None:
        return False if mode in ABSENT else None
    if not card.places:
        return False
    before, then = card.places[-1]
    apart = abs(time - then)
    kilometres = distance(before, place)
    if kilometres <= 100 or kilometres / 900 * 3_600_000 <= apart:
        return False
    whole = Decimal(repr(kilometres)).quantize(Decimal(1), ROUND_HALF_UP)
    return f"{whole} km in {apart // 1000} s", "900 km/h over more than 100 km"


def over_limit(version: Mapping[str, Any], today: Decimal) -> Judgement:
    with localcontext(prec=60):
        spent = Decimal(version["spent"]) + today
        if spent <= Decimal(version["credit_limit"]):
            return False
        shown = spent.quantize(Decimal("0.01"), ROUND_HALF_UP)
    currency = version["currency"]
    return f"{shown:f} {currency} spent", f"limit of {version['credit_limit']} {currency}"


def streak(card: Payments, kind: str) -> Judgement:
    if kind != "charge" or card.declined_in_a_row < 3:
        return False
    return f"{card.declined_in_a_row} declined before it", "3 in a row"


def young(version: Mapping[str, Any], time: int) -> Judgement:
    if time - version["opened"] >= 30 * DAY:
        return False
    return f"opened {instant_text(version['opened'])}", "30 days before the payment"


def place_of(data: Mapping[str, Any]) -> Place | None:
    if data.get("entry_mode") not in PRESENT:
        return None
    degrees = []
    for name, most in (("latitude", 90), ("longitude", 180)):
        text = data.get(name)
        if not isinstance(text, str) or not DEGREES.fullmatch(text):
            return None
        value = Decimal(text)
        if abs(value) > most:
            return None
        degrees.append(float(value.quantize(Decimal("0.0001"), ROUND_HALF_UP)))
    return degrees[0], degrees[1]


def distance(one: Place, other: Place) -> float:
    """Give kilometres on a sphere, by the haversine formula."""
    (a, b), (c, d) = (tuple(map(radians, place)) for place in (one, other))
    half = sin((a - c) / 2) ** 2 + cos(a) * cos(c) * sin((b - d) / 2) ** 2
    return 2 * 6371.0088 * asin(min(1, sqrt(half)))


def hundredths(value: float) -> str:
    return format(Decimal(repr(value)).quantize(Decimal("0.01"), ROUND_HALF_UP), "f")


def written(
    data: dict[str, Any],
    time: int,
    version: dict[str, Any] | None,
    factors: Mapping[str, Judgement],
    rule: RuleVersion,
    *,
    late: bool,
    amount: str | None,
) -> dict[str, Any]:
    fired = {name: seen for name, seen in factors.items() if isinstance(seen, tuple)}
    payment, token = data["payment_id"], data["card_token"]
    said = version or {}
    attributed = {
        "payment_id": payment[:128],
        "card_token": token,
        **{name: cut(data.get(name), 128) for name in ("card_last4", "account_id", "user_id")},
        **{name: cut(data.get(name), 128) for name in ("merchant_id", "currency", "status")},
        "amount": amount,
        "country": cut(data.get("country"), 128),
        "city": cut(data.get("city"), 64),
        "account_known": version is not None,
        **{
            name: said.get(name)
            for name in ("account_name", "holder_country", "credit_limit", "risk_segment")
        },
        "account_currency": said.get("currency"),
        "account_status": said.get("status"),
        "opened_at": version and instant_text(version["opened"]),
        "account_valid_from": version and instant_text(version["valid"]),
        "late": late,
        "not_judged": [name for name, seen in factors.items() if seen is None],
        "score": score_of(fired, rule),
        "score_version": rule.number if fired else None,
        "factors": [
            {"factor": name, "points": points, "observed": seen[0], "threshold": seen[1]}
            for name, seen in fired.items()
            if (points := rule.said["points"][name])
        ],
    }
    event_id = sha("attributed", payment, token, "1")
    return envelope("PAYMENT_ATTRIBUTED", event_id, time, attributed)


def score_of(fired: Iterable[str], rule: RuleVersion) -> int:
    points: Mapping[str, int] = rule.said["points"]
    return min(100, sum(points[name] for name in fired))


def alerts(
    data: dict[str, Any], time: int, fired: Iterable[str], rule: RuleVersion
) -> Iterator[dict[str, Any]]:
    """Give the alert of a payment whose score is the threshold of a version or more."""
    score = score_of(fired, rule)
    if score < rule.said["threshold"] or rule.said["state"] == "off":
        return
    payment, token = data["payment_id"], data["card_token"]
    alert_id = sha("high_score", str(rule.number), "card", token, "", payment)
    said = ", ".join(WORDS[name] for name in fired if rule.said["points"][name])
    alert = {
        "alert_id": alert_id,
        "rule": "high_score",
        "rule_version": rule.number,
        "severity": rule.said["severity"],
        "entity_kind": "card",
        "entity_id": token,
        "card_last4": cut(data.get("card_last4"), 128),
        "currency": None,
        "observed": str(score),
        "threshold": str(rule.said["threshold"]),
        "explanation": f"score {score} of 100: {said}",
        "window_start": None,
        "window_end": None,
        "payment_ids": [payment[:128]],
        "payment_count": 1,
        "paging": rule.said["paging"],
    }
    yield envelope("RULE_ALERT", alert_id, time, alert)
