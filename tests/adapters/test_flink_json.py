"""The local edge decodes records exactly as Flink's `json` format with ignore-parse-errors does."""

import base64
import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_json import Decoder, Fields, Text

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venvs" / "flink" / "bin" / "python"
ROWS = Path(__file__).with_name("flink_json_rows.py")
EXAMPLES = sorted((ROOT / "events" / "examples").rglob("*.json"))
COLUMNS = Fields(
    (
        ("type", Text()),
        ("version", Text()),
        ("at", Text()),
        ("data", Fields((("name", Text()), ("amount", Text()), ("since", Text())))),
    )
)
DATA = ("name", "amount", "since")
NOTHING = (None, None, None)


def decode(record: bytes | str) -> Any:  # noqa: ANN401  rows of whatever the columns hold
    return Decoder(COLUMNS).decode(record if isinstance(record, bytes) else record.encode())


def field(name: str, value: str) -> Any:  # noqa: ANN401  a column's value
    """One data field's value, given as JSON text."""
    [row] = decode(f'{{"data":{{"{name}":{value}}}}}')
    return row[3][DATA.index(name)]


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"   ",
        b"plain text",
        b"null",
        b"[]",
        b"[1,null,[]]",
        b'"type"',
        b"{",
        b'{"type":"A"',
        b'{"type":"A",}',
        b'{"type" "A"}',
        b"{'type':'A'}",
        b'{"type":NaN}',
        b'{"version":01}',
        b'{"type":"A"\xff}',
        b'{"caf\xe9":1}',
        b'{"type":"Caf\xe9"}',
        b'\xff{"type":"A"}',
        b'{"data":{"amount":bad},"type":"A"}',
    ],
)
def test_a_record_that_is_no_json_object_is_gone(record: bytes) -> None:
    assert decode(record) == []


def test_a_missing_field_and_a_null_are_null() -> None:
    assert decode(b"{}") == [(None, None, None, None)]
    assert decode('{"type":null,"data":{}}') == [(None, None, None, NOTHING)]


def test_what_stands_behind_the_object_is_not_looked_at() -> None:
    assert decode(b'{"type":"A"} \xff and so on') == [("A", None, None, None)]
    assert decode('{"type":"A"}{"type":"B"}') == [("A", None, None, None)]


def test_every_object_of_an_array_is_a_row() -> None:
    assert decode('[{"type":"A"},1,{"type":"B"}]') == [
        ("A", None, None, None),
        ("B", None, None, None),
    ]


def test_the_last_of_two_fields_with_one_name_wins() -> None:
    assert decode('{"type":"A","type":"B"}') == [("B", None, None, None)]


def test_fields_that_nobody_declared_are_ignored() -> None:
    assert decode('{"x":{"y":[1,{"type":"B"}]},"type":"A"}') == [("A", None, None, None)]


@pytest.mark.parametrize("data", ['"{}"', "[1,2]", "1", "true"])
def test_data_that_is_no_object_is_null_and_the_rest_is_kept(data: str) -> None:
    assert decode(f'{{"data":{data},"type":"A"}}') == [("A", None, None, None)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('"a\\u00e9\\n"', "aé\n"),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\ud800x"', "?x"),
        ("12.340", "12.34"),
        ("1e3", "1000.0"),
        ("true", "true"),
        ('{"b":[1,2.50,null,"q\\"\\u0001"]}', '{"b":[1,2.5,null,"q\\"\\u0001"]}'),
    ],
)
def test_whatever_stands_where_a_text_should_be_becomes_its_text(value: str, text: str) -> None:
    assert field("name", value) == text


def test_fractions_are_the_texts_of_doubles() -> None:
    decoder = Decoder(Fields((("a", Text()),)))
    written = [
        ("12.340", "12.34"),
        ("1e3", "1000.0"),
        ("1e7", "1.0E7"),
        ("0.001", "0.001"),
        ("-0.00012", "-1.2E-4"),
        ("-0.0", "-0.0"),
        ("1e400", "Infinity"),
    ]
    for number, text in written:
        assert decoder.decode(f'{{"a":{number}}}'.encode()) == [(text,)]


def test_a_poison_record_of_a_megabyte_is_gone() -> None:
    assert decode(b"[" * 1_000_000) == []
    assert decode(b'{"x":' + b"[" * 1_000_000) == []
    assert decode(b'{"version":' + b"9" * 1_000_000 + b"}") == []


# Records as they come, and what can happen to them -------------------------------------------

PAYMENT = {
    "type": "PAYMENT_EVENT",
    "event_id": "9f1c",
    "schema_version": 1,
    "event_date_origin": "2026-11-21T07:00:03.120Z",
    "event_json_data": {
        "payment_id": "pay_1",
        "account_id": "acc_1",
        "user_id": "usr_1",
        "card_token": "4f0c",
        "card_bin": "424242",
        "card_last4": "4242",
        "amount": "12.50",
        "currency": "EUR",
        "merchant_id": "mer_1",
        "country": "MT",
        "city": "Valletta",
        "status": "AUTHORIZED",
    },
}
CARD_STATUS = {
    "type": "CARD_STATUS",
    "event_id": "77ab",
    "schema_version": 1,
    "event_date_origin": "2026-11-21T07:00:03.120Z",
    "event_json_data": {
        "card_token": "4f0c",
        "card_last4": "4242",
        "status": "STOLEN",
        "effective_from": "2026-11-20T22:10:00.000Z",
        "reason": "reported by holder, « où » 日本 😀",
    },
}
BAD_INPUT = [
    *(path.read_bytes() for path in EXAMPLES),
    b"",
    b"null",
    b"[]",
    b"text",
    b'{"type":"A"} {"type":"B"}',
    b'[{"type":"A"},1,null,{"type":"B"}]',
    b'{"type":"A"',
    b'{"type":"A"}garbage',
    b'\xef\xbb\xbf{"type":"A"}',
    b'{"type":"A\xe9","event_id":"x"}',
    b'{"event_json_data":{"city":"Caf\xe9","amount":"1"},"type":"A"}',
    b'{"event_json_data":{"city":"\xc0\x80\xed\xa0\x80"},"type":"A"}',
    b'{"event_json_data":"{}","type":"A"}',
    b'{"event_json_data":[1,2],"type":"A"}',
    b'{"event_json_data":{"amount":bad,"city":"y"},"type":"A"}',
    b'{"schema_version":{"type":"B"},"type":"A"}',
    b'{"type":"A","type":"B","event_id":"x","schema_version":1,"event_date_origin":null}',
    json.dumps({**PAYMENT, "event_date_origin": "2026-11-21T07:00:03.120456Z"}).encode(),
    json.dumps({**PAYMENT, "event_date_origin": "2026-11-21T09:00:03.120+02:00"}).encode(),
    json.dumps({**PAYMENT, "event_date_origin": 1795244403120}).encode(),
    json.dumps({**PAYMENT, "filler": "x" * 900_000}).encode(),
    json.dumps(PAYMENT).encode("utf-16"),
    json.dumps(PAYMENT).encode("utf-32-le"),
    *(
        json.dumps(PAYMENT).replace('"12.50"', amount).encode()
        for amount in ("12.34", "1e3", "10.005", '"10.00005"', '"abc"', '"1e30"', "[1]", "{}")
    ),
]

flags = st.booleans()
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.decimals(allow_nan=False, allow_infinity=False, places=5).map(float),
    st.text(max_size=8),
    st.sampled_from(
        [
            "",
            " 7 ",
            "+5",
            ".5",
            "5.",
            "1_0",
            "1e3",
            "NaN",
            "9223372036854775808",
            "2026-11-21T07:00:03Z",
            "2026-11-21T07:00:03.1Z",
            "2026-02-30T24:00:00Z",
            "2026-11-21T07:00:03.120456Z",
            "2026-11-21T07:00:03.120+02:00",
            "2026-11-21 07:00:03Z",
            "+12026-11-21T07:00:03Z",
            "0000-01-01T00:00:00Z",
            "\ud800",
            "é日😀",
        ]
    ),
)
values = st.one_of(
    scalars,
    st.recursive(
        # Fractions inside of these print their last digits differently: see local_json.
        st.one_of(st.none(), st.integers(-99, 99), st.text(max_size=4)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=4,
    ),
)
names = st.sampled_from(
    [*PAYMENT, *PAYMENT["event_json_data"], "effective_from", "reason", "source", "x", ""]  # type: ignore[misc]
)


@st.composite
def objects(draw: st.DrawFn, fields: dict[str, Any]) -> str:
    """An object of these fields as JSON text, some changed, added (twice perhaps) or left out."""
    items = [
        (name, draw(values) if draw(st.integers(0, 9)) == 0 else value)
        for name, value in fields.items()
        if draw(st.integers(0, 19))
    ]
    items += draw(st.lists(st.tuples(names, values), max_size=2))
    items = draw(st.permutations(items)) if draw(st.booleans()) else items
    texts = []
    for name, value in items:
        nested = name == "event_json_data" and isinstance(value, dict)
        text = draw(objects(value)) if nested else json.dumps(value, ensure_ascii=draw(flags))
        texts.append(f"{json.dumps(name)}:{text}")
    return "{" + draw(st.sampled_from([",", " ,\n "])).join(texts) + "}"


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A record as bytes, in two of three cases damaged."""
    text = draw(objects(draw(st.sampled_from([PAYMENT, CARD_STATUS]))))
    record = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(record)))
        gone = draw(st.integers(0, 3))
        put = draw(
            st.one_of(
                st.binary(max_size=2),
                st.sampled_from([*(bytes([c]) for c in b'{}[]:,"\\ .0e-+tfn/#\x00'), b""]),
            )
        )
        record[at : at + gone] = put
    return bytes(record)


@given(records())
@settings(max_examples=300)
def test_no_record_stops_the_decoder(record: bytes) -> None:
    for row in decode(record):
        assert len(row) == len(COLUMNS.columns)


# Against Flink ------------------------------------------------------------------------------

Rows = Callable[[Sequence[bytes]], list[tuple[Any, Any]]]


@pytest.fixture(scope="module")
def both() -> Iterator[Rows]:
    """Decode records by Flink's format and by the local edge's decoder, in Flink's environment."""
    program = subprocess.Popen(
        [PYTHON, ROWS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    stdin, stdout = program.stdin, program.stdout

    def ask(batch: Sequence[bytes]) -> list[tuple[Any, Any]]:
        rows = []
        for record in batch:
            stdin.write(base64.b64encode(record) + b"\n")
            stdin.flush()
            theirs, ours = json.loads(stdout.readline())
            rows.append((theirs, ours))
        return rows

    yield ask
    program.communicate(timeout=30)


@pytest.mark.flink
def test_bad_input_decodes_as_flink_decodes_it(both: Rows) -> None:
    for record, (theirs, ours) in zip(BAD_INPUT, both(BAD_INPUT), strict=True):
        assert ours == theirs, record[:300]


@pytest.mark.flink
def test_no_record_makes_flink_hand_on_a_null_row(both: Rows) -> None:
    # The Kinesis connector would pass it to the job, which dies of it.
    for record, (theirs, _) in zip(BAD_INPUT, both(BAD_INPUT), strict=True):
        assert None not in theirs, record[:300]


def double_as_number(row: Any) -> Any:  # noqa: ANN401  rows of whatever the columns hold
    """A row in which the text of a double stands as the double it denotes.

    Java before 19 writes some doubles with one digit more than needed (JDK-4511638), so the
    same number has two texts: 3.970405646386037E16 and 3.9704056463860368E16.
    """
    if isinstance(row, list):
        return [double_as_number(value) for value in row]
    if isinstance(row, str) and re.fullmatch(r"-?\d\.\d+E-?\d+|-?\d+\.\d+", row):
        return float(row)
    return row


@pytest.mark.flink
@given(st.lists(records(), min_size=10, max_size=30))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
def test_any_record_decodes_as_flink_decodes_it(both: Rows, batch: list[bytes]) -> None:
    for record, (theirs, ours) in zip(batch, both(batch), strict=True):
        assert double_as_number(ours) == double_as_number(theirs), record


@pytest.mark.flink
def test_sql_sees_the_local_edges_rows_as_it_sees_those_of_a_file() -> None:
    # A file ends a record with its line, and has no place for one without any bytes.
    records = [record for record in BAD_INPUT if record and not set(record) & {0, 10, 13}]
    done = subprocess.run(
        [PYTHON, ROWS, "through-sql"],
        input=b"".join(base64.b64encode(record) + b"\n" for record in records),
        capture_output=True,
        check=True,
        timeout=180,
    )
    from_file, from_edge = json.loads(done.stdout)
    assert len(from_file) > 20
    assert from_edge == from_file


@pytest.mark.flink
def test_the_format_hides_a_failure_over_a_good_record_like_a_record_that_cannot_be_read() -> None:
    """What the source's own task computes of a record must not fail: nobody would hear of it."""
    good, bad, empty = b'{"type":"HEARTBEAT"}', b'{"type', b"[]"
    done = subprocess.run(
        [PYTHON, ROWS, "failing"],
        input=b"".join(base64.b64encode(record) + b"\n" for record in (good, bad, empty)),
        capture_output=True,
        timeout=120,
        check=True,
    )
    as_declared, without_the_option = zip(*map(json.loads, done.stdout.splitlines()), strict=True)
    assert as_declared == (None, None, None)
    assert without_the_option == ("IOException", "IOException", None)
