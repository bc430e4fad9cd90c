"""Rows to events: what is written is valid, and no card number is in anything."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.card_numbers import NUMBERS, in_groups
from tests.fakes import FakeEventStream
from tests.unit.imports.support import (
    IEEE_CIS,
    PAYSIM,
    SPARKOV_HEADER,
    STOLEN,
    THREE_ROWS,
    sparkov,
    sparkov_row,
)

from cardwatch.cards.card_file import CardFileError
from cardwatch.cards.number import CardNumber
from cardwatch.cards.tokenizer import CardFace, Tokenizer
from cardwatch.contract.card_status import CardStatus
from cardwatch.contract.payment import Payment
from cardwatch.contract.streams import Envelope, read_event
from cardwatch.imports.conversion import fit_id
from cardwatch.imports.errors import ImportFileError
from cardwatch.imports.importing import ImportReport, import_rows, told
from cardwatch.imports.mapping import Mapping, find_mapping
from cardwatch.imports.outputs import StreamOutput, lines_file
from cardwatch.imports.stolen import read_stolen
from cardwatch.imports.table import open_table

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TOKENIZER = Tokenizer(bytes(range(32)))
SPARKOV = find_mapping("sparkov")


class Imported:
    """What one import wrote."""

    def __init__(
        self,
        path: Path,
        text: str,
        mapping: Mapping = SPARKOV,
        *,
        stolen: dict[CardFace, str] | None = None,
        stolen_from: datetime | None = None,
        start: datetime | None = None,
    ) -> None:
        file = path / "rows.csv"
        file.write_text(text, encoding="utf-8", newline="")
        self.events: list[Envelope] = []
        self.labels: list[bytes] = []
        self.refusals: list[bytes] = []
        table = open_table(
            file, mapping.columns(), separator=mapping.separator, encoding=mapping.encoding
        )
        self.report: ImportReport = import_rows(
            table,
            mapping,
            TOKENIZER,
            self,
            now=NOW,
            start=start,
            stolen=stolen,
            stolen_from=stolen_from,
            labels=self.labels.append,
            refusals=self.refusals.append,
        )

    def put(self, event: Envelope) -> None:
        self.events.append(event)

    @property
    def payments(self) -> list[Payment]:
        return [e.event_json_data for e in self.events if isinstance(e.event_json_data, Payment)]

    @property
    def reasons(self) -> list[str]:
        return [json.loads(each)["reason"] for each in self.refusals]

    def everything(self) -> str:
        """Give all that anybody can read of it."""
        parts = [event.to_bytes() for event in self.events] + self.labels + self.refusals
        return b"\n".join(parts).decode() + "\n".join(told(self.report, written_to="out"))


def test_three_sparkov_rows_with_a_stolen_card_are_a_status_and_three_payments(
    tmp_path: Path,
) -> None:
    (tmp_path / "stolen.txt").write_text(f"# found\n\n{STOLEN}\n{STOLEN}\n")
    stolen = read_stolen(tmp_path / "stolen.txt", SPARKOV, TOKENIZER, now=NOW)
    done = Imported(tmp_path, THREE_ROWS, stolen=stolen)
    status, *payments = done.events
    assert isinstance(status.event_json_data, CardStatus)
    token = TOKENIZER.token(CardNumber(STOLEN))
    assert status.event_json_data.card_token == token
    assert status.event_json_data.effective_from == datetime(2020, 12, 28, 0, 0, 18, tzinfo=UTC)
    assert [event.event_date_origin.second for event in payments] == [18, 44, 51]
    assert [payment.card_token == token for payment in done.payments] == [False, True, False]
    assert done.payments[1] == Payment(
        payment_id="1f76529f8574734946361c461b024d99",
        account_id=f"acct_{token}",
        user_id=f"user_{token}",
        card_token=token,
        card_bin=STOLEN[:8],
        card_last4=STOLEN[-4:],
        amount=Decimal("107.23"),
        currency="USD",
        merchant_id="fraud_Heller-Gutmann-and-Zieme-152d9523",
        country="US",
        city="Moravian Falls",
        status="AUTHORIZED",
        entry_mode="CHIP",
        merchant_category="5411",
        latitude="36.011293",
        longitude="-82.048315",
    )
    assert [json.loads(label)["label"] for label in done.labels] == ["good", "good", "fraud"]
    assert done.report.on_stolen_cards == 1
    assert not any(number in done.everything() for number in NUMBERS)


def test_paysims_steps_are_hours_and_who_pays_is_the_card(tmp_path: Path) -> None:
    done = Imported(tmp_path, PAYSIM, find_mapping("paysim"))
    first, second = done.payments
    assert first.card_bin is None
    assert (first.user_id, first.merchant_id) == ("C1231006815", "M1979787155")
    assert first.payment_id != second.payment_id
    assert {event.event_date_origin for event in done.events} == {
        datetime(2025, 1, 1, 1, tzinfo=UTC)
    }
    assert [json.loads(label)["label"] for label in done.labels] == ["good", "fraud"]


def test_ieee_cis_cards_are_what_six_columns_say(tmp_path: Path) -> None:
    mapping = find_mapping("ieee_cis")
    (tmp_path / "stolen.txt").write_text("2755|404.0|150.0|mastercard|102.0|credit\n")
    stolen = read_stolen(tmp_path / "stolen.txt", mapping, TOKENIZER, now=NOW)
    done = Imported(tmp_path, IEEE_CIS, mapping, stolen=stolen)
    first, second = done.payments
    assert (str(first.amount), str(second.amount)) == ("68.5", "37.10")
    assert second.card_token in {card.token for card in stolen}
    assert done.report.on_stolen_cards == 1
    assert done.events[1].event_date_origin == datetime(2023, 12, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "reason", "told_by"),
    [
        ({"cc_num": "2.29116E+15"}, "bad_card", "cc_num: the card number must be digits only: a"),
        ({"cc_num": ""}, "missing_value", "cc_num is empty"),
        ({"trans_date_trans_time": ""}, "missing_time", "trans_date_trans_time is empty"),
        ({"trans_date_trans_time": "soon"}, "bad_time", "is no time of the format"),
        ({"trans_date_trans_time": "2017-12-31 00:00:00"}, "too_old", "before 2020"),
        ({"trans_date_trans_time": "2026-01-01 00:00:00"}, "future_time", "ahead"),
        ({"amt": "$4.97"}, "bad_value", "amount: is no plain number"),
        ({"amt": "1e20"}, "invalid_data", "amount"),
        ({"merchant": ""}, "missing_value", "merchant_id: merchant is empty"),
        ({"merch_lat": "91"}, "invalid_data", "latitude"),
        ({"city": "x" * 65}, "invalid_data", "city"),
        ({"city": f"{in_groups(NUMBERS[0])} Street"}, "holds_card_number", "city"),
        ({"merchant": f"shop of {STOLEN}"}, "holds_card_number", "merchant_id"),
        ({"cc_num": "60416207185", "city": "6041-6207.185"}, "holds_card_number", "city"),
    ],
)
def test_a_row_is_refused_with_its_line_and_reason_and_the_others_written(
    tmp_path: Path, changed: dict[str, str], reason: str, told_by: str
) -> None:
    done = Imported(tmp_path, sparkov(sparkov_row(), sparkov_row(**changed)))
    assert len(done.payments) == 1
    (refusal,) = map(json.loads, done.refusals)
    assert (refusal["line"], refusal["reason"]) == (3, reason)
    assert told_by in refusal["detail"]
    assert f"line 3: {reason}: " in "\n".join(told(done.report, written_to="out"))


CELLS = st.one_of(
    st.sampled_from([*NUMBERS, in_groups(NUMBERS[0]), "2.29116E+15", "60416207185", ""]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=24),
)
READABLE = st.sampled_from(
    ["2019-01-01 00:00:18", "21/06/2020 12:14", "1e3", "-0.005", "0", "12.5"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(st.sampled_from(SPARKOV_HEADER), CELLS | READABLE, max_size=5),
    number=st.text("0123456789", min_size=11, max_size=19),
    hidden=st.sampled_from(SPARKOV_HEADER),
    separator=st.sampled_from(["", "-", " ", ".", "x", "é"]),
)
def test_any_row_is_one_valid_event_or_one_refusal_and_its_number_is_nowhere(
    tmp_path: Path, changes: dict[str, str], number: str, hidden: str, separator: str
) -> None:
    around = f"a{separator.join(number)}b"
    row = sparkov_row(**({hidden: around} | changes | {"cc_num": number}))
    done = Imported(tmp_path, sparkov(row))
    assert len(done.events) + len(done.refusals) == done.report.rows == 1
    for event in done.events:
        assert read_event(event.to_bytes(), now=NOW) == event
    everything = done.everything()
    known = [event.event_json_data for event in done.events]
    for data in known:
        if isinstance(data, Payment):
            # Hexadecimal digits side by side are nobody's number.
            everything = everything.replace(data.card_token, "")
    assert number not in everything


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_any_text_is_made_an_id_that_is_always_the_same(text: str) -> None:
    fitted = fit_id(text)
    assert fitted == fit_id(text) == fit_id(fitted)
    assert len(fitted) <= 128
    assert fitted.isascii()


def test_two_names_that_look_alike_as_ids_stay_two() -> None:
    names = ["a b", "a, b", "a-b", "ä b", "Ж"]
    assert len({fit_id(name) for name in names}) == 5
    assert fit_id("a-b") == "a-b"


def mapping_with(**changed: object) -> Mapping:
    """Give Sparkov's mapping with parts of its fields changed."""
    dumped = SPARKOV.model_dump(by_alias=True, exclude_unset=True)
    for name, value in changed.items():
        dumped["payment"][name] = value
    return Mapping.model_validate(dumped)


def test_more_decimals_than_the_currency_takes_are_rounded_only_when_asked(
    tmp_path: Path,
) -> None:
    rows = sparkov(*(sparkov_row(amt=amount) for amount in ("1.005", "1.00500", "2.5000", "7")))
    asked = Imported(tmp_path, rows)
    assert [str(payment.amount) for payment in asked.payments] == ["1.01", "1.01", "2.50", "7"]
    unasked = Imported(tmp_path, rows, mapping_with(amount={"column": "amt"}))
    assert [str(payment.amount) for payment in unasked.payments] == ["2.50", "7"]
    assert unasked.reasons == ["bad_value"] * 2
    yen = mapping_with(amount={"column": "amt"}, currency={"value": "JPY"})
    assert [str(payment.amount) for payment in Imported(tmp_path, rows, yen).payments] == ["7"]


def test_a_decimal_comma_is_read_and_a_point_beside_it_refused(tmp_path: Path) -> None:
    mapping = mapping_with(amount={"column": "amt", "decimal": ","})
    done = Imported(
        tmp_path, sparkov(sparkov_row(amt="4,97"), sparkov_row(amt="1.004,97")), mapping
    )
    assert [str(payment.amount) for payment in done.payments] == ["4.97"]
    assert done.reasons == ["bad_value"]


def test_a_text_that_the_map_has_not_is_refused_left_out_or_has_a_default(tmp_path: Path) -> None:
    rows = sparkov(sparkov_row(category="gifts"))
    source = {"column": "category", "map": {"travel": "4722"}}
    assert Imported(tmp_path, rows, mapping_with(merchant_category=source)).reasons == [
        "unmapped_value"
    ]
    optional = mapping_with(merchant_category=source | {"optional": True})
    assert Imported(tmp_path, rows, optional).payments[0].merchant_category is None
    default = mapping_with(merchant_category=source | {"default": "5999"})
    assert Imported(tmp_path, rows, default).payments[0].merchant_category == "5999"


def times(done: Imported) -> list[datetime]:
    return [event.event_date_origin for event in done.events]


TWO_TIMES = sparkov(
    sparkov_row(trans_date_trans_time="no time"),
    sparkov_row(trans_date_trans_time="2019-01-01 00:00:10"),
    sparkov_row(trans_date_trans_time="2019-01-01 02:00:00"),
    sparkov_row(trans_date_trans_time="2019-01-01 01:00:00"),
)


def test_a_start_is_the_time_of_the_first_row_that_has_one(tmp_path: Path) -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    done = Imported(tmp_path, TWO_TIMES, start=start)
    assert times(done)[0] == start
    assert times(done)[1] - start == timedelta(hours=2, seconds=-10)


def test_a_shift_to_now_puts_the_newest_row_at_now_and_none_behind_it(tmp_path: Path) -> None:
    dumped = SPARKOV.model_dump(by_alias=True, exclude_unset=True)
    dumped["time"]["shift"] = "to now"
    done = Imported(tmp_path, TWO_TIMES, Mapping.model_validate(dumped))
    assert max(times(done)) == NOW
    assert done.reasons == ["bad_time"]


def test_the_order_of_the_rows_is_kept_and_what_is_out_of_order_counted(tmp_path: Path) -> None:
    done = Imported(tmp_path, TWO_TIMES)
    assert times(done) != sorted(times(done))
    assert done.report.out_of_order == 1
    assert "out of order by more than 1 s: 1" in list(told(done.report, written_to="out"))


def test_a_stolen_time_that_the_contract_refuses_stops_the_import(tmp_path: Path) -> None:
    stolen = {TOKENIZER.tokenize_imported(STOLEN): "lost"}
    with pytest.raises(ImportFileError, match="--stolen-from"):
        Imported(tmp_path, THREE_ROWS, stolen=stolen, stolen_from=NOW + timedelta(days=1))


def test_a_card_file_says_which_cards_are_stolen_and_why(tmp_path: Path) -> None:
    path = tmp_path / "cards.txt"
    lines = [
        "card_number,status,effective_from,reason",
        f"{STOLEN},STOLEN,2026-01-01T00:00:00.000Z,wallet, stolen",
        f"{NUMBERS[0]},ACTIVE,2026-01-01T00:00:00.000Z,issued",
    ]
    path.write_text("\n".join(lines))
    assert read_stolen(path, SPARKOV, TOKENIZER, now=NOW) == {
        TOKENIZER.tokenize_imported(STOLEN): "wallet, stolen"
    }
    with pytest.raises(ImportFileError, match="knows cards by references"):
        read_stolen(path, find_mapping("paysim"), TOKENIZER, now=NOW)
    path.write_text(lines[0] + "\n4000000000000000,STOLEN,now,x\n")
    with pytest.raises(CardFileError, match="line 2"):
        read_stolen(path, SPARKOV, TOKENIZER, now=NOW)


@pytest.mark.parametrize(
    ("content", "mapping", "told_by"),
    [
        (f"{STOLEN}\n4.1E+15\n", "sparkov", "line 2: the card number must be digits only: a"),
        ("2755|404.0\n", "ieee_cis", "line 1: must be card1|card2|card3|card4|card5|card6"),
        ("Café\n".encode("cp1252"), "sparkov", "is not UTF-8"),
    ],
)
def test_a_wrong_line_refuses_the_list_of_stolen_cards(
    tmp_path: Path, content: str | bytes, mapping: str, told_by: str
) -> None:
    path = tmp_path / "stolen.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ImportFileError) as caught:
        read_stolen(path, find_mapping(mapping), TOKENIZER, now=NOW)
    assert told_by in str(caught.value)
    assert STOLEN not in str(caught.value)


def test_the_stream_gets_each_event_under_its_cards_token(tmp_path: Path) -> None:
    stream = FakeEventStream()
    output = StreamOutput(stream)
    for event in Imported(tmp_path, THREE_ROWS).events:
        output.put(event)
    assert stream.entries == []
    output.flush()
    for entry in stream.entries:
        assert json.loads(entry.data)["event_json_data"]["card_token"] == entry.partition_key
    assert len(stream.entries) == 3
    assert not output.undelivered


def test_what_the_stream_does_not_take_is_counted_by_its_error(tmp_path: Path) -> None:
    output = StreamOutput(FakeEventStream(refuse="InternalFailure"))
    for event in Imported(tmp_path, THREE_ROWS).events * 200:
        output.put(event)
    output.flush()
    assert output.undelivered == {"InternalFailure": 600}


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz"])
def test_a_file_takes_its_name_only_when_it_is_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    def write(fail: Callable[[], None]) -> None:
        with lines_file(path) as lines:
            lines.write(b"{}")
            assert not path.exists()
            fail()

    def broken() -> None:
        msg = "broke off"
        raise ImportFileError(msg)

    with pytest.raises(ImportFileError):
        write(broken)
    assert list(tmp_path.iterdir()) == []
    write(lambda: None)
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_file_gives_the_same_events(tmp_path: Path) -> None:
    rows = [sparkov_row(cc_num=random.Random(i).choice(NUMBERS)) for i in range(20)]
    first, second = (Imported(tmp_path, sparkov(*rows)).everything() for _ in range(2))
    assert first == second


def test_a_text_that_means_missing_is_an_empty_cell(tmp_path: Path) -> None:
    mapping = find_mapping("ieee_cis")
    written, empty = (
        Imported(tmp_path, IEEE_CIS.replace("13926,,", f"13926,{text},"), mapping).payments[0]
        for text in ("NaN", "")
    )
    assert written == empty


def test_a_file_without_labels_is_imported_without(tmp_path: Path) -> None:
    done = Imported(tmp_path, IEEE_CIS.replace("isFraud", "other"), find_mapping("ieee_cis"))
    assert len(done.payments) == 2
    assert done.labels == []
    assert done.report.labels == {"none": 2}
