"""What stops an import, and what refuses one row of it."""

from dataclasses import dataclass
from enum import StrEnum

from cardwatch.contract.streams import RejectionReason


class ImportFileError(Exception):
    """A file cannot be used; the text is one line that says which, where and what helps.

    It holds no value of a row, which may be a card number.
    """


class RefusalReason(StrEnum):
    """Why a row becomes no payment, besides what the contract refuses."""

    BAD_ROW = "bad_row"
    BAD_CARD = "bad_card"
    BAD_VALUE = "bad_value"
    MISSING_VALUE = "missing_value"
    UNMAPPED_VALUE = "unmapped_value"
    HOLDS_CARD_NUMBER = "holds_card_number"


Reason = RefusalReason | RejectionReason


class RefusedRow(ValueError):  # noqa: N818  a row is refused; "RefusedRowError" says no more
    """A row that becomes no payment; its text names the place and never the value."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Keep why, and which column or field."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused row, as the report has it."""

    line: int
    """The line of the CSV that it begins on, or the number of the Parquet's row; both from 1."""
    reason: str
    detail: str
