"""An import from the first row to the last, with the report of what became of each."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Dictionary
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cardwatch.cards.tokenizer import CardFace, Tokenizer
from cardwatch.contract.fields import format_time
from cardwatch.contract.streams import EARLIEST_EVENT_TIME
from cardwatch.imports.conversion import Conversion, ImportedPayment
from cardwatch.imports.errors import ImportFileError, Refusal, RefusedRow
from cardwatch.imports.mapping import Mapping
from cardwatch.imports.outputs import EventOutput
from cardwatch.imports.table import Row, Table
from cardwatch.imports.times import parse_shift

STOLEN_BEFORE: Final = timedelta(days=1)
"""How long before the first payment a card counts as stolen when nobody says since when."""
OUT_OF_ORDER: Final = timedelta(seconds=1)
REFUSALS_KEPT: Final = 10

Lines = Callable[[bytes], None]
"""Where lines of JSON go."""


@dataclass(slots=True)
class ImportReport:
    """What became of a file's rows: each is a payment or refused."""

    rows: int = 0
    payments: int = 0
    statuses: int = 0
    on_stolen_cards: int = 0
    """Payments of the cards in the list of stolen ones, whenever they were."""
    out_of_order: int = 0
    """Payments more than 1 s older than one before them in the file."""
    refused: Counter[str] = field(default_factory=Counter)
    """Rows by reason."""
    first_refusals: list[Refusal] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    """Payments by label: fraud, good, or none."""
    first: datetime | None = None
    last: datetime | None = None
    """The earliest and the latest payment, UTC."""


def shift_of(
    table: Table, mapping: Mapping, tokenizer: Tokenizer, *, start: datetime | None, now: datetime
) -> tuple[timedelta, datetime | None]:
    """Give what is added to each row's time, and the shifted time of the first row that has one.

    `start` is the time that this row gets. `to now` reads the whole file: its newest time becomes
    `now`, and nothing is in the future. The time is None when no row has one.
    """
    unshifted = Conversion(mapping, tokenizer, shift=timedelta(), now=now)
    times = _times(table, unshifted)
    first = next(times, None)
    if first is None:
        return timedelta(), None
    shift = start - first if start is not None else parse_shift(mapping.time.shift)
    if not isinstance(shift, timedelta):
        shift = now - max(first, max(times, default=first))
    try:
        return shift, first + shift
    except OverflowError:
        msg = "the time shift leaves the range of years; give a smaller one"
        raise ImportFileError(msg) from None


def _times(table: Table, conversion: Conversion) -> Iterator[datetime]:
    for row in table.rows():
        if isinstance(row, Row):
            try:
                yield conversion.time(row)
            except RefusedRow:
                continue


def import_rows(
    table: Table,
    mapping: Mapping,
    tokenizer: Tokenizer,
    output: EventOutput,
    *,
    now: datetime,
    start: datetime | None = None,
    stolen: Dictionary[CardFace, str] | None = None,
    stolen_from: datetime | None = None,
    labels: Lines | None = None,
    refusals: Lines | None = None,
    progress: Callable[[ImportReport], None] = lambda _: None,
) -> ImportReport:
    """Write the stolen cards' statuses, then a payment for each row that is one, in order.

    Raises ImportFileError for a file that breaks off or a `stolen_from` that the contract refuses.
    """
    report = ImportReport()
    shift, first = shift_of(table, mapping, tokenizer, start=start, now=now)
    conversion = Conversion(mapping, tokenizer, shift=shift, now=now)
    tokens = {card.token for card in stolen or ()}
    if first is not None:
        try:
            since = stolen_from or max(first - STOLEN_BEFORE, EARLIEST_EVENT_TIME)
        except OverflowError:
            since = EARLIEST_EVENT_TIME
        for card, reason in (stolen or {}).items():
            try:
                output.put(conversion.stolen(card, since, reason))
            except RefusedRow as error:
                msg = f"the stolen cards' time is refused: {error.detail}; see --stolen-from"
                raise ImportFileError(msg) from None
            report.statuses += 1
    for row in table.rows():
        report.rows += 1
        found = _converted(conversion, row)
        if isinstance(found, Refusal):
            report.refused[found.reason] += 1
            if len(report.first_refusals) < REFUSALS_KEPT:
                report.first_refusals.append(found)
            if refusals is not None:
                refusals(json.dumps(asdict(found)).encode())
        else:
            output.put(found.event)
            _count(report, found, tokens)
            if labels is not None and found.label is not None:
                labels(_truth(found))
        progress(report)
    return report


def _converted(conversion: Conversion, row: Row | Refusal) -> ImportedPayment | Refusal:
    if isinstance(row, Refusal):
        return row
    try:
        return conversion.payment(row)
    except RefusedRow as error:
        return Refusal(row.line, error.reason, error.detail)


def _count(report: ImportReport, payment: ImportedPayment, stolen: set[str]) -> None:
    report.payments += 1
    report.on_stolen_cards += payment.card_token in stolen
    report.labels[payment.label or "none"] += 1
    if report.last is not None and payment.at < report.last - OUT_OF_ORDER:
        report.out_of_order += 1
    report.first = min(report.first or payment.at, payment.at)
    report.last = max(report.last or payment.at, payment.at)


def _truth(payment: ImportedPayment) -> bytes:
    truth = {
        "payment_id": payment.payment_id,
        "card_token": payment.card_token,
        "label": payment.label,
    }
    return json.dumps(truth).encode()


def told(report: ImportReport, *, written_to: str) -> Iterator[str]:
    """Give the report's lines for people, without a value of a row."""
    statuses = "status" if report.statuses == 1 else "statuses"
    yield (
        f"{report.rows} rows read: {report.payments} payments and {report.statuses} {statuses} "
        f"written to {written_to}, {report.refused.total()} rejected"
    )
    if report.first is not None and report.last is not None:
        yield f"payments from {format_time(report.first)} to {format_time(report.last)}"
    if report.statuses:
        yield f"payments on the stolen cards: {report.on_stolen_cards}"
    if report.out_of_order:
        yield f"out of order by more than 1 s: {report.out_of_order}"
    if report.labels["fraud"] or report.labels["good"]:
        yield "labels: " + ", ".join(
            f"{report.labels[name]} {name}" for name in ("fraud", "good", "none")
        )
    if report.refused:
        counts = ", ".join(f"{count} {name}" for name, count in report.refused.most_common())
        yield f"rejected: {counts}"
        for refusal in report.first_refusals:
            yield f"  line {refusal.line}: {refusal.reason}: {refusal.detail}"
        more = report.refused.total() - len(report.first_refusals)
        if more:
            yield f"  and {more} more; --report FILE writes all of them"
