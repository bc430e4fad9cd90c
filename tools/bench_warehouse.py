"""Measures the local warehouse: loading, refreshing, how fast each mart and the dashboard answer.

    python -m tools.bench_warehouse [--payments 10000000] [--folder <empty folder>]

It loads payments as COPY does, 100,000 a transaction at 1,000 payments/s of event time, on 10,000
cards of which 1 % are stolen; with a score for each, alerts for 99 in 100 stolen payments and a
page for each 20 alerts. It needs 4 GB of disk per million payments and prints a Markdown table. A
mart's time is the server's, for all of its rows, the best of three; a question's of the dashboard
that of asking it, about the day before the newest payment, the freshness that it is shown with
included.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
from dashboard.warehouse import QUERIES, PostgreSql
from dashboard.warehouse import Warehouse as Dashboard
from psycopg.sql import SQL, Identifier

from cardwatch.local.processes.stopping import stop_on_signals
from cardwatch.local.redshift_dialect import SQL_FOLDER
from cardwatch.local.warehouse import Warehouse, WarehouseServer

LOAD_ROWS: Final = 100_000
PAYMENTS_PER_SECOND: Final = 1_000
CARDS: Final = 10_000
BOUND_MS: Final = 1_000
STOLEN_CARDS: Final = 100
ALERTS_PER_PAGE: Final = 20
BEGIN: Final = datetime(2026, 11, 21, tzinfo=UTC)
COUNTRIES: Final = (("MT", "EUR"), ("DE", "EUR"), ("GB", "GBP"), ("US", "USD"), ("JP", "JPY"))
STATUSES: Final = ("AUTHORIZED",) * 14 + ("CAPTURED",) * 4 + ("DECLINED", "REFUNDED")

Row = tuple[str, str, str, str]


@dataclass
class Figures:
    """What was measured, in seconds unless said otherwise."""

    payments: int
    copy_seconds: float = 0.0
    fill_seconds: float = 0.0
    load_copy_seconds: float = 0.0
    load_refresh_seconds: float = 0.0
    small_refresh_seconds: float = 0.0
    idle_refresh_seconds: float = 0.0
    marts: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Rows and milliseconds of each mart."""
    questions: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Rows and milliseconds of each question of the dashboard."""
    bytes: Mapping[str, int] = field(default_factory=dict)
    """Size of the larger tables with their indexes."""

    def markdown(self) -> str:
        """Give the figures as tables."""
        asked = self.questions
        lines = [
            f"| {self.payments:,} payments on the local database | |",
            "|---|---|",
            f"| COPY of payments and scores, {LOAD_ROWS:,} each | {self.copy_seconds:.0f} s |",
            f"| first fill of all tables | {self.fill_seconds:.0f} s |",
            f"| {LOAD_ROWS:,} new ones of both: COPY | {self.load_copy_seconds:.1f} s |",
            f"| {LOAD_ROWS:,} new ones of both: refresh | {self.load_refresh_seconds:.1f} s |",
            f"| 100 new ones of both: refresh | {self.small_refresh_seconds:.2f} s |",
            f"| nothing new: refresh | {self.idle_refresh_seconds:.2f} s |",
            *(f"| {name} | {size / 1e9:.2f} GB |" for name, size in self.bytes.items()),
            "",
            "| Mart | Rows | All of them in |",
            "|---|---|---|",
            *(f"| {name} | {rows:,} | {ms:.0f} ms |" for name, (rows, ms) in self.marts.items()),
            "",
            "| Question of the dashboard | Rows | Answered in |",
            "|---|---|---|",
            *(f"| {name} | {rows:,} | {ms:.0f} ms |" for name, (rows, ms) in asked.items()),
        ]
        return "\n".join(lines)


def measure(folder: Path, payments: int) -> Figures:
    """Fill a warehouse of its own in `folder` and measure it; the server is stopped at the end."""
    figures = Figures(payments)
    server = WarehouseServer(folder / "postgres")
    server.start()
    try:
        warehouse = Warehouse(server)
        warehouse.define()
        with server.connect() as connection:
            connection.autocommit = True
            figures.copy_seconds += _load(connection, _statuses())
            for first in range(0, payments, LOAD_ROWS):
                say(f"copying payments, {first:,} of {payments:,}")
                rows = min(LOAD_ROWS, payments - first)
                figures.copy_seconds += _load(connection, _payments(first, rows))
                figures.copy_seconds += _load(connection, _scores(first, rows))
            figures.copy_seconds += _load(connection, _alerts(payments))
            say(f"copied in {figures.copy_seconds:.0f} s; filling the tables")
            figures.fill_seconds = _refresh(warehouse)
            say(f"filled in {figures.fill_seconds:.0f} s; loading and refreshing")
            connection.execute("VACUUM ANALYZE")
            figures.load_copy_seconds = _load(connection, _payments(payments, LOAD_ROWS))
            figures.load_copy_seconds += _load(connection, _scores(payments, LOAD_ROWS))
            figures.load_refresh_seconds = _refresh(warehouse)
            _load(connection, _payments(payments + LOAD_ROWS, 100))
            _load(connection, _scores(payments + LOAD_ROWS, 100))
            figures.small_refresh_seconds = _refresh(warehouse)
            figures.idle_refresh_seconds = _refresh(warehouse)
            for path in sorted((SQL_FOLDER / "marts").glob("*.sql")):
                say(f"reading {path.stem}")
                name = f"marts.{path.stem}"
                figures.marts[name] = min(
                    (_answer(connection, name) for _ in range(3)), key=lambda answer: answer[1]
                )
            for question in questions(since=_at(payments) - timedelta(days=1)):
                say(f"asking {question.name}")
                figures.questions[question.name] = min(
                    (_asked(server, question) for _ in range(3)), key=lambda answer: answer[1]
                )
            tables = ("staging.events", "typed.payment_event", "typed.payment_attributed")
            figures.bytes = {name: _size(connection, name) for name in tables}
        warehouse.close()
    finally:
        server.stop()
    return figures


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the dashboard with what is asked for."""

    file: str
    values: Mapping[str, object]
    column: Any = None

    @property
    def name(self) -> str:
        return f"{self.file} ({self.column})" if self.column else self.file


def questions(since: datetime) -> Iterator[Question]:
    """Give each question of the dashboard as its pages ask it, of one card, account or merchant."""
    asked_for: Mapping[str, object] = {
        "since": since.replace(tzinfo=None),
        "bucket": "minute",
        "objective_ms": 10_000,
        "rows": 200,
        "minimum": 1,
        **dict.fromkeys(("rule", "severity", "entity")),
    }
    entities = {"card_token": _token(7), "account_id": "acc_00007", "merchant_id": "mer_0007"}
    for path in sorted(QUERIES.glob("*.sql")):
        text = path.read_text("utf-8")
        wanted = {name: value for name, value in asked_for.items() if f":{name}" in text}
        if "${entity}" in text:
            for column, name in entities.items():
                yield Question(path.stem, {**wanted, "id": name}, column)
        elif "${place}" in text:
            for column in ("merchant_id", "country"):
                yield Question(path.stem, wanted, column)
        else:
            of_one = entities["account_id" if path.stem == "account" else "card_token"]
            yield Question(path.stem, {**wanted, **({"id": of_one} if ":id" in text else {})})


def _asked(server: WarehouseServer, question: Question) -> tuple[int, float]:
    began = time.monotonic()
    dashboard = Dashboard(PostgreSql(server.folder))
    answer = dashboard.ask(question.file, column=question.column, **question.values)
    return len(answer.rows), 1000 * (time.monotonic() - began)


def say(text: str) -> None:
    """Show progress."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def _refresh(warehouse: Warehouse) -> float:
    began = time.monotonic()
    transactions = count(1)

    def begins_another() -> bool:
        say(f"refresh: transaction {next(transactions)} after {time.monotonic() - began:.0f} s")
        return True

    warehouse.refresh().run(in_time=begins_another)
    return time.monotonic() - began


def _load(connection: psycopg.Connection[Any], rows: Iterator[Row]) -> float:
    """Load rows as one COPY and give its seconds; making the rows is not counted."""
    # No value has a tab, a line break or a backslash in it, so COPY's text is the values.
    text = "".join("\t".join(row) + "\n" for row in rows)
    began = time.monotonic()
    with connection.transaction(), connection.cursor() as cursor:
        statement = (
            "COPY staging.events (event_id, event_type, event_date_origin, event_json_data) "
            "FROM STDIN"
        )
        with cursor.copy(statement) as copy:
            copy.write(text)
    return time.monotonic() - began


def _answer(connection: psycopg.Connection[Any], name: str) -> tuple[int, float]:
    """Give a mart's rows and the milliseconds that the server took for all of them."""
    query = SQL("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT * FROM {}")
    (((plan,),),) = connection.execute(query.format(Identifier(*name.split(".")))).fetchall()
    return int(plan["Plan"]["Actual Rows"]), float(plan["Planning Time"] + plan["Execution Time"])


def _size(connection: psycopg.Connection[Any], name: str) -> int:
    query = "SELECT pg_total_relation_size(%s::regclass)"
    ((size,),) = connection.execute(query, (name,)).fetchall()
    return int(size)


def _digest(*parts: object) -> str:
    return sha256("|".join(map(str, parts)).encode()).hexdigest()


def _at(payment: int) -> datetime:
    return BEGIN + timedelta(milliseconds=payment * 1000 // PAYMENTS_PER_SECOND)


def _origin(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")


def _iso(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _token(card: int) -> str:
    return f"{card:032x}"


def _payments(first: int, count: int) -> Iterator[Row]:
    for number in range(first, first + count):
        country, currency = COUNTRIES[number % len(COUNTRIES)]
        card = number * 7919 % CARDS
        data = (
            f'{{"payment_id":"pay_{number:012}","account_id":"acc_{card:05}","user_id":'
            f'"usr_{card:05}","card_token":"{_token(card)}","card_bin":"424242","card_last4":"4242",'
            f'"amount":"{number % 50_000 / 100:.2f}","currency":"{currency}","merchant_id":'
            f'"mer_{number % 997:04}","country":"{country}","city":"Somewhere","status":'
            f'"{STATUSES[number // 3 % len(STATUSES)]}"}}'
        )
        yield _digest("event", number)[:32], "PAYMENT_EVENT", _origin(_at(number)), data


def _scores(first: int, count: int) -> Iterator[Row]:
    """Give each payment's score: four in five have nothing against them, one in 200 is risky."""
    for number in range(first, first + count):
        country, currency = COUNTRIES[number % len(COUNTRIES)]
        card = number * 7919 % CARDS
        factors = [(15, "first_in_country")] * (number % 5 == 0) + [(60, "stolen_card")] * (
            number % 200 == 0
        )
        found = ",".join(
            f'{{"factor":"{name}","points":{points},"observed":"what was seen of it","threshold":'
            f'"what it was held against"}}'
            for points, name in factors
        )
        data = (
            f'{{"payment_id":"pay_{number:012}","card_token":"{_token(card)}","card_last4":"4242",'
            f'"account_id":"acc_{card:05}","user_id":"usr_{card:05}","merchant_id":'
            f'"mer_{number % 997:04}","amount":"{number % 50_000 / 100:.2f}","currency":'
            f'"{currency}","status":"{STATUSES[number // 3 % len(STATUSES)]}","country":'
            f'"{country}","city":"Somewhere","account_known":true,"account_name":"J*** D***",'
            f'"holder_country":"{country}","opened_at":"2019-05-02T09:30:00.000Z","credit_limit":"5000.00",'
            f'"account_currency":"{currency}","account_status":"ACTIVE","risk_segment":"LOW",'
            f'"account_valid_from":"{_iso(BEGIN)}","late":false,"not_judged":'
            f'["impossible_travel"],"score":{sum(points for points, _ in factors)},'
            f'"score_version":1,"factors":[{found}],"detected_at":"{_iso(_at(number))}"}}'
        )
        yield _digest("score", number), "PAYMENT_ATTRIBUTED", _origin(_at(number)), data


def _statuses() -> Iterator[Row]:
    reported = _iso(BEGIN - timedelta(hours=1))
    for card in range(CARDS):
        status = "STOLEN" if card < STOLEN_CARDS else "ACTIVE"
        data = {"card_token": _token(card), "card_last4": "4242", "status": status}
        data |= {"effective_from": reported, "reason": "reported by holder"}
        yield _digest("status", card), "CARD_STATUS", _origin(BEGIN), json.dumps(data)


def _alerts(payments: int) -> Iterator[Row]:
    """Give the alerts of 99 in 100 stolen payments, their pages, and some rule alerts."""
    page: list[str] = []
    for number in range(payments):
        card = number * 7919 % CARDS
        if card >= STOLEN_CARDS or number % 101 == 0:
            continue
        at = _at(number)
        alert = _digest(f"pay_{number:012}", _token(card), "stolen_card", 1)
        data = {
            "alert_id": alert,
            "rule": "stolen_card",
            "rule_version": 1,
            "reason": "card reported stolen",
            "late": number % 50 == 0,
            "window_end": _iso(at + timedelta(seconds=5)),
            "detected_at": _iso(at + timedelta(milliseconds=5_000 + number % 1_700)),
            "payment_id": f"pay_{number:012}",
            "card_token": _token(card),
            "card_last4": "4242",
            "account_id": f"acc_{card:05}",
            "merchant_id": f"mer_{number % 997:04}",
            "country": COUNTRIES[number % len(COUNTRIES)][0],
        }
        yield alert, "PAYMENT_ALERT", _origin(at), json.dumps(data)
        if number % 1_000 == 0:
            large = _digest("large_amount", number)
            rule = {"alert_id": large, "rule": "large_amount", "payment_ids": [f"pay_{number:012}"]}
            rule |= {"entity_kind": "card", "entity_id": _token(card), "detected_at": _iso(at)}
            yield large, "RULE_ALERT", _origin(at), json.dumps(rule)
        page.append(alert)
        if len(page) == ALERTS_PER_PAGE:
            page_id = _digest("page", number)
            event = {"page_id": page_id, "state": "SENT", "alert_ids": page, "channel": "sns"}
            sent = _origin(at + timedelta(seconds=8))
            yield f"{page_id}|SENT", "PAGE_EVENT", sent, json.dumps(event | {"repeat": False})
            page = []


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--payments", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where the database goes; default: temporary")
    options = parser.parse_args()
    place = tempfile.TemporaryDirectory(prefix="cardwatch-", dir=options.folder)
    with stop_on_signals(), place as folder:
        figures = measure(Path(folder), options.payments)
    print(figures.markdown())
    answered = {**figures.marts, **figures.questions}
    slow = [name for name, (_, ms) in answered.items() if ms > BOUND_MS]
    if slow:
        print(f"slower than {BOUND_MS} ms: {', '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    raise SystemExit(main())
