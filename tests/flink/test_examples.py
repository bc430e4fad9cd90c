"""Every example of the contract as the job reads it, and through the whole job."""

import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.examples import INVALID, VALID, label, reason
from tests.flink.running import Flink
from tests.flink.scenarios import BASE, heartbeat, payment, status

from cardwatch.contract.alert import PaymentAlert
from cardwatch.contract.fields import parse_time
from cardwatch.contract.streams import EVENT_TYPES, MAX_CLOCK_SKEW

pytestmark = pytest.mark.flink

EXAMPLES = sorted([*VALID, *INVALID], key=lambda path: path.name)
"""Valid ones between invalid ones, and one type between others."""
PAYMENTS = [path for path in VALID if path.parts[-3] == "payment_event.v1"]
EPOCH = datetime.fromtimestamp(0, UTC)
SEVEN = int(datetime(2026, 3, 21, 7, tzinfo=UTC).timestamp() * 1000) - BASE
MARK = heartbeat(SEVEN - 1)
INSTANTS = json.loads(Path(__file__).parents[1].joinpath("instants.json").read_text("utf-8"))
"""Texts of times, for every reader: the instant of each, or null."""

Row = dict[str, Any]


def raw(path: Path) -> bytes:
    """Give an example, some months earlier: a time that the real clock has not reached is none."""
    return path.read_bytes().rstrip(b"\n").replace(b"2026-11-2", b"2026-03-2")


@pytest.fixture(scope="module")
def rows_of(flink: Flink) -> dict[Path, list[Row]]:
    """The rows of each example, read in one job, a heartbeat before and after each."""
    lines = [line for path in EXAMPLES for line in (MARK, raw(path))]
    found: list[list[Row]] = []
    for row in flink.events([*lines, MARK]):
        if row["type"] == "HEARTBEAT" and time_of(row["origin"]) == parse_time(
            json.loads(MARK)["event_date_origin"]
        ):
            found.append([])
        else:
            found[-1].append(row)
    assert len(found) == len(EXAMPLES) + 1, "an example swallowed its neighbour"
    return dict(zip(EXAMPLES, found, strict=False))


def time_of(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def expected(event: Row, columns: Row) -> Row:
    """Give an example as its row: texts as they are, times as times, null what is not there."""
    data = event["event_json_data"]
    origin = parse_time(event["event_date_origin"])
    effective = parse_time(data["effective_from"]) if "effective_from" in data else None
    valid = parse_time(data["valid_from"]) if "valid_from" in data else None
    times = {"event_date_origin": origin, "effective_from": effective, "valid_from": valid}
    return {
        "type": event["type"],
        "origin": origin,
        "effective_from": effective,
        "rt": times[EVENT_TYPES[event["type"]].event_time],
        "event_json_data": {column: data.get(column) for column in columns["event_json_data"]},
    }


def with_times(row: Row) -> Row:
    """Give a row with its times as times."""
    return {**row, **{name: time_of(row[name]) for name in ("origin", "effective_from", "rt")}}


@pytest.mark.parametrize("path", VALID, ids=label)
def test_a_valid_example_is_one_row_with_its_fields_and_its_event_time(
    path: Path, rows_of: dict[Path, list[Row]]
) -> None:
    event = json.loads(raw(path).decode("utf-8-sig"))
    if EVENT_TYPES[event["type"]].event_time == "none":
        assert rows_of[path] == []
        return
    (row,) = rows_of[path]
    assert with_times(row) == expected(event, columns=row)


@pytest.mark.parametrize("path", INVALID, ids=label)
def test_an_invalid_example_is_one_row_at_most_and_without_a_valid_time_has_no_event_time(
    path: Path, rows_of: dict[Path, list[Row]]
) -> None:
    rows = rows_of[path]
    assert len(rows) <= 1
    kind = next(t for t in EVENT_TYPES.values() if path.parts[-3] == f"{t.name.lower()}.v1")
    if reason(path).endswith(("_time", "too_old", "_from")) and kind.event_time != "none":
        assert [time_of(row["rt"]) for row in rows] == [EPOCH]


def test_a_stolen_payment_beside_any_example_alerts_once(flink: Flink) -> None:
    lines: list[str | bytes] = [status("neighbour", "STOLEN", SEVEN - 1000, SEVEN)]
    for number, path in enumerate(EXAMPLES):
        lines += [raw(path), payment(f"beside_{number}", "neighbour", SEVEN + number)]
    found = [r["event_json_data"] for r in flink.detect(lines) if r["type"] == "PAYMENT_ALERT"]
    paid = [data["payment_id"] for data in found if data["payment_id"].startswith("pay_beside")]
    assert sorted(paid) == sorted(f"pay_beside_{number}" for number in range(len(EXAMPLES)))


def of_its_own(path: Path) -> bytes:
    """Give an example of a payment under an id that no other example has."""
    return raw(path).replace(b'"pay_01hzy3a7"', f'"pay_{path.stem}"'.encode())


@pytest.fixture(scope="module")
def alerts_of(flink: Flink) -> dict[str, list[Row]]:
    """The alerts of each payment of the examples, all of them on one stolen card, in one job."""
    stolen = next(path for path in VALID if label(path) == "card_status.v1/stolen")
    alerts: dict[str, list[Row]] = {}
    for record in flink.detect([raw(stolen), *map(of_its_own, PAYMENTS)]):
        if record["type"] == "PAYMENT_ALERT":
            alerts.setdefault(record["event_json_data"]["payment_id"], []).append(record)
    assert len(alerts) == len(PAYMENTS)
    return alerts


@pytest.mark.parametrize("path", PAYMENTS, ids=label)
def test_a_valid_payment_on_a_stolen_card_alerts_with_what_the_example_says(
    path: Path, alerts_of: dict[str, list[Row]]
) -> None:
    event = json.loads(of_its_own(path).decode("utf-8-sig"))
    (alert,) = alerts_of[event["event_json_data"]["payment_id"]]
    assert parse_time(alert["event_date_origin"]) == parse_time(event["event_date_origin"])
    data, said = event["event_json_data"], alert["event_json_data"]
    amount = Decimal(said["amount"])
    assert amount == Decimal(data["amount"]).quantize(amount, ROUND_HALF_UP)
    same = (data.keys() & PaymentAlert.model_fields.keys()) - {"amount"}
    assert {name: said[name] for name in same} == {name: data[name] for name in same}


def test_the_job_reads_an_instant_as_every_reader_does_in_payments_and_in_statuses(
    flink: Flink,
) -> None:
    published = "2026-11-25T00:00:00.000Z"
    lines = []
    for case in INSTANTS:
        paid = json.loads(payment("instant", "card", 0))
        known = json.loads(status("card", "STOLEN", 0, 0))
        paid["event_date_origin"] = case["value"]
        known["event_date_origin"] = published
        known["event_json_data"]["effective_from"] = case["value"]
        lines += [json.dumps(paid), json.dumps(known)]
    rows = flink.events(lines)
    read = [time_of(row["rt"]) for row in rows]
    expected_times = [
        datetime.fromtimestamp(case.get("epoch_ms", 0) / 1000, UTC) for case in INSTANTS
    ]
    assert read[::2] == expected_times
    assert read[1::2] == expected_times
    assert len(set(expected_times)) >= 20


def arrived(line: str, at: int) -> str:
    """Give a line with its arrival, in milliseconds after BASE."""
    return json.dumps({**json.loads(line), "arrived": BASE + at})


def test_what_is_of_the_future_is_said_by_the_arrival_and_not_by_the_clock(flink: Flink) -> None:
    ahead = int(MAX_CLOCK_SKEW.total_seconds() * 1000)
    in_years = int((datetime(2200, 1, 1, tzinfo=UTC) - datetime.now(UTC)).total_seconds() * 1000)
    clock = int(datetime.now(UTC).timestamp() * 1000) - BASE

    def kinds(origin: int, arrival: int) -> list[str]:
        lines = payment("p", "card", origin), status("card", "STOLEN", origin, origin)
        return [arrived(line, arrival) for line in (*lines, heartbeat(origin))]

    # The first two lie in the stream since 2026, so the clock would let both pass; the last two
    # it would refuse.
    taken = kinds(ahead, 0) + kinds(clock + in_years + ahead, clock + in_years)
    refused = kinds(ahead + 1, 0) + kinds(clock + in_years + ahead + 1, clock + in_years)
    rows = [with_times(row) for row in flink.events(taken + refused, arrivals="known")]
    assert [row["rt"] for row in rows] == [row["origin"] for row in rows[:6]] + [EPOCH] * 6
    assert min(row["origin"] for row in rows) > EPOCH


def test_where_no_arrival_is_known_the_clock_says_what_is_of_the_future(flink: Flink) -> None:
    hour = 3_600_000
    now = int(datetime.now(UTC).timestamp() * 1000) - BASE
    rows = flink.events([heartbeat(now), heartbeat(now + hour)])
    assert [time_of(row["rt"]) == EPOCH for row in rows] == [False, True]
