"""One row becomes one payment, or is refused with its reason."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Final, Literal

from anyascii import anyascii

from cardwatch.cards.imported import is_repeated
from cardwatch.cards.tokenizer import CardFace, Tokenizer
from cardwatch.contract.card_numbers import holds_card_number
from cardwatch.contract.card_status import card_status_event_id
from cardwatch.contract.currencies import decimals_of
from cardwatch.contract.fields import format_time
from cardwatch.contract.streams import (
    Envelope,
    RejectedRecord,
    RejectionReason,
    new_event_id,
    read_event,
)
from cardwatch.imports.errors import RefusalReason, RefusedRow
from cardwatch.imports.mapping import IdSource, Mapping, NumberSource, Source
from cardwatch.imports.table import Row

COORDINATE_DECIMALS: Final = 6

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:|-]{0,127}")
_NOT_OF_AN_ID: Final = re.compile(r"[^A-Za-z0-9_.:|-]+")
_LONGEST_KEPT: Final = 100
_HASH_DIGITS: Final = 8
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,2})?"
)
_PRECISION: Final = 200
"""Digits, more than such a number has: nothing is rounded unasked."""


@dataclass(frozen=True, slots=True)
class ImportedPayment:
    """A payment by the contract, with what the file says that it was."""

    event: Envelope
    payment_id: str
    card_token: str
    at: datetime
    label: Literal["fraud", "good"] | None


def fit_id(text: str) -> str:
    """Give a text as an id: itself where the contract takes it, else its letters and a hash.

    `fraud_Rippin, Kub and Mann` becomes `fraud_Rippin-Kub-and-Mann-` and the first eight digits of
    the text's SHA-256, so that two different names stay two.
    """
    if _ID.fullmatch(text):
        return text
    letters = _NOT_OF_AN_ID.sub("-", anyascii(text)).strip("-_.:|")[:_LONGEST_KEPT]
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{letters or 'id'}-{digest}"


def card_of(mapping: Mapping, cells: tuple[str, ...], tokenizer: Tokenizer) -> CardFace:
    """Give the card of a number, or of what a reference is made of; raises ValueError."""
    if mapping.card.number is not None:
        return tokenizer.tokenize_imported(cells[0])
    return tokenizer.tokenize_reference(cells)


class Conversion:
    """Makes rows payments by one mapping and under one key."""

    def __init__(
        self,
        mapping: Mapping,
        tokenizer: Tokenizer,
        *,
        shift: timedelta,
        now: datetime,
    ) -> None:
        """Take what all rows share; `shift` is added to each time, `now` is when they arrive."""
        self._mapping = mapping
        self._tokenizer = tokenizer
        self._shift = shift
        self._now = now
        self._time = mapping.time.reader()
        self._sources = mapping.payment.sources()

    def time(self, row: Row) -> datetime:
        """Give a row's time before it is shifted; raises RefusedRow."""
        columns = self._mapping.time.columns_read
        text = " ".join(self._cell(row, column) for column in columns).strip()
        if not text:
            raise RefusedRow(RejectionReason.MISSING_TIME, f"{', '.join(columns)} is empty")
        try:
            return self._time.read(text)
        except ValueError as error:
            detail = f"{', '.join(columns)} {error}"
            raise RefusedRow(RejectionReason.BAD_TIME, detail) from None

    def payment(self, row: Row) -> ImportedPayment:
        """Give a row's payment as the contract reads it; raises RefusedRow."""
        try:
            at = self.time(row) + self._shift
        except OverflowError:
            raise RefusedRow(RejectionReason.BAD_TIME, "is out of the range of years") from None
        card = self._card(row)
        data: dict[str, Any] = {}
        for name, source in self._sources:
            if name not in {"amount", "payment_id"}:
                self._put(data, name, self._text(row, name, source, card))
        amount = self._mapping.payment.amount
        places = decimals_of(data.get("currency", ""))
        said = self._cell_text(row, "amount", amount)
        data["amount"] = said and _decimal(said, amount, "amount", places)
        payment_id = self._mapping.payment.payment_id
        if payment_id.made_from == "row":
            parts = (card.token, format_time(at), *sorted(data.items()), row.line)
            data["payment_id"] = fit_id(payment_id.prefix + new_event_id("import", *parts))
        else:
            self._put(data, "payment_id", self._text(row, "payment_id", payment_id, card))
        self._check_for_numbers(row, data)
        data |= {"card_token": card.token, "card_bin": card.bin, "card_last4": card.last4}
        event_id = new_event_id(
            "import", data["payment_id"], card.token, data["status"], format_time(at)
        )
        event = self._event("PAYMENT_EVENT", event_id, at, data)
        return ImportedPayment(event, data["payment_id"], card.token, at, self._label(row))

    def stolen(self, card: CardFace, since: datetime, reason: str) -> Envelope:
        """Give the status of a stolen card; raises RefusedRow."""
        data = {
            "card_token": card.token,
            "card_last4": card.last4,
            "status": "STOLEN",
            "effective_from": format_time(since),
            "reason": reason,
        }
        event_id = card_status_event_id(card.token, "STOLEN", since)
        return self._event("CARD_STATUS", event_id, since, data)

    def _event(self, kind: str, event_id: str, at: datetime, data: dict[str, Any]) -> Envelope:
        record = {
            "type": kind,
            "event_id": event_id,
            "schema_version": 1,
            "event_date_origin": format_time(at),
            "event_json_data": data,
        }
        # As whoever reads the stream does, so that what is written is never refused there.
        raw = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            return read_event(raw, now=self._now)
        except RejectedRecord as error:
            raise RefusedRow(error.reason, error.detail) from None

    def _card(self, row: Row) -> CardFace:
        columns = self._mapping.card.columns_read
        cells = tuple(self._cell(row, column) for column in columns)
        if not any(cells):
            detail = f"{', '.join(columns)} is empty"
            raise RefusedRow(RefusalReason.MISSING_VALUE, detail)
        try:
            return card_of(self._mapping, cells, self._tokenizer)
        except ValueError as error:
            detail = f"{', '.join(columns)}: {error}"
            raise RefusedRow(RefusalReason.BAD_CARD, detail) from None

    def _cell(self, row: Row, column: str) -> str:
        text = row.cells.get(column, "")
        return "" if text in self._mapping.missing else text

    def _put(self, data: dict[str, Any], name: str, text: str | None) -> None:
        if text is not None:
            data[name] = text

    def _text(self, row: Row, name: str, source: Source, card: CardFace) -> str | None:
        """Give a field's text, or None to leave it out; raises RefusedRow."""
        if isinstance(source, IdSource):
            return self._id(row, name, source, card)
        text = self._cell_text(row, name, source)
        if text is not None and isinstance(source, NumberSource):
            return _decimal(text, source, name, COORDINATE_DECIMALS)
        return text

    def _id(self, row: Row, name: str, source: IdSource, card: CardFace) -> str:
        if source.made_from == "card":
            return source.prefix + card.token
        text = self._cell_text(row, name, source) or ""
        # Made to fit, its digits would be a card number's still.
        if holds_card_number(text):
            detail = f"{name}: must not hold a card number"
            raise RefusedRow(RefusalReason.HOLDS_CARD_NUMBER, detail)
        return fit_id(source.prefix + text)

    def _cell_text(self, row: Row, name: str, source: Source) -> str | None:
        """Give a field's text before it is made to fit; raises RefusedRow."""
        if source.value is not None:
            return source.value
        cells = [self._cell(row, column) for column in source.columns_read]
        text = "|".join(cells) if any(cells) else ""
        if text and source.map is not None:
            mapped = source.map.get(text)
            if mapped is not None:
                return mapped
        elif text:
            return text
        if source.default is not None:
            return source.default
        if source.optional:
            return None
        place = f"{name}: {', '.join(source.columns_read)}"
        if text:
            raise RefusedRow(RefusalReason.UNMAPPED_VALUE, f"{place} is not in the map")
        raise RefusedRow(RefusalReason.MISSING_VALUE, f"{place} is empty")

    def _check_for_numbers(self, row: Row, data: dict[str, Any]) -> None:
        """Refuse a row that has its card's number elsewhere too, whatever is around the digits."""
        column = self._mapping.card.number
        if column is None:
            return
        number = self._cell(row, column)
        if is_repeated(number, data.values()):
            name = next(name for name, value in data.items() if is_repeated(number, (value,)))
            detail = f"{name}: holds the number of the row's card"
            raise RefusedRow(RefusalReason.HOLDS_CARD_NUMBER, detail)

    def _label(self, row: Row) -> Literal["fraud", "good"] | None:
        source = self._mapping.label
        return source.label(self._cell(row, source.column)) if source else None


def _decimal(text: str, source: NumberSource, name: str, places: int) -> str:
    """Give a number as a decimal text with at most so many places; raises RefusedRow."""
    if source.decimal != ".":
        # A point would be one for thousands, and perhaps not.
        text = text.replace(".", "x").replace(source.decimal, ".")
    if not text.isascii() or not _NUMBER.fullmatch(text):
        detail = f"{name}: is no plain number with a decimal {source.decimal}"
        raise RefusedRow(RefusalReason.BAD_VALUE, detail)
    with localcontext(prec=_PRECISION):
        value = Decimal(text)
        rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
        if value != rounded and source.round is None:
            detail = f"{name}: has more than {places} decimals; the mapping may say round: half_up"
            raise RefusedRow(RefusalReason.BAD_VALUE, detail)
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and -exponent > places:
            value = rounded
        return format(value, "f")
