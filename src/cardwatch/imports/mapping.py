"""The mapping: what a file's columns mean, as YAML (docs/import.md)."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cardwatch.imports.errors import ImportFileError
from cardwatch.imports.times import TimeReader, parse_shift

MAX_PROBLEMS_SHOWN: Final = 3
_SUFFIX: Final = ".yaml"

Column = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    """A part of a mapping, closed to what nobody described."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Source(_Part):
    """Where a field comes from: a column, perhaps by a map, or one value for all rows."""

    column: Column | None = None
    value: str | None = None
    map: dict[str, str] | None = None
    """From the column's text to the field's."""
    default: str | None = None
    """For a missing column, an empty cell, and a text that the map has not."""
    optional: bool = False
    """Leave the field out then."""

    @property
    def columns_read(self) -> tuple[str, ...]:
        return (self.column,) if self.column is not None else ()

    @property
    def is_needed(self) -> bool:
        """Say whether there is nothing in the place of a missing column."""
        return self.default is None and not self.optional

    def _origins(self) -> list[bool]:
        return [self.column is not None, self.value is not None]

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        if sum(self._origins()) != 1:
            names = "column, columns, value or from" if isinstance(self, IdSource) else None
            msg = f"needs exactly one of {names or 'column or value'}"
            raise ValueError(msg)
        if self.value is not None and (self.map or self.default is not None or self.optional):
            msg = "a value for all rows takes no map, default or optional"
            raise ValueError(msg)
        return self


class IdSource(Source):
    """Where an id comes from; what the contract does not take as one is made to fit."""

    columns: Annotated[tuple[Column, ...], Field(min_length=2)] | None = None
    """Joined by `|`."""
    made_from: Annotated[Literal["card", "row"] | None, Field(alias="from")] = None
    """The card's token, or a hash over what the row says, its line included."""
    prefix: str = ""

    @property
    def columns_read(self) -> tuple[str, ...]:
        return self.columns or super().columns_read

    def _origins(self) -> list[bool]:
        return [*super()._origins(), self.columns is not None, self.made_from is not None]


class NumberSource(Source):
    """Where an amount or a coordinate comes from."""

    decimal: Literal[".", ","] = "."
    round: Literal["half_up"] | None = None
    """What to do with more decimals than the field takes; none: refuse the row."""


class TimeSource(_Part):
    """When the payment happened."""

    column: Column | None = None
    columns: Annotated[tuple[Column, ...], Field(min_length=2)] | None = None
    """Joined by a blank, for a date and a time apart."""
    format: tuple[str, ...]
    """Tried in turn: strptime patterns, iso, epoch_s, epoch_ms, `seconds since <instant>`, …"""
    zone: str | None = None
    shift: str = "none"
    """`none`, `to now`, or a duration like `728 days`."""

    @field_validator("format", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if (self.column is None) == (self.columns is None):
            msg = "needs exactly one of column or columns"
            raise ValueError(msg)
        self.reader()
        parse_shift(self.shift)
        return self

    @property
    def columns_read(self) -> tuple[str, ...]:
        return self.columns or ((self.column,) if self.column is not None else ())

    def reader(self) -> TimeReader:
        return TimeReader(self.format, self.zone)


class CardSource(_Part):
    """Which card paid: the column of its number, or columns that identify it together."""

    number: Column | None = None
    reference: Annotated[tuple[Column, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.number is None) == (self.reference is None):
            msg = "needs exactly one of number or reference"
            raise ValueError(msg)
        return self

    @property
    def columns_read(self) -> tuple[str, ...]:
        return self.reference or ((self.number,) if self.number is not None else ())


class LabelSource(_Part):
    """Which payments were fraud."""

    column: Column
    fraud: tuple[str, ...] = ("1", "true", "yes", "fraud")
    good: tuple[str, ...] = ("0", "false", "no", "good")

    def label(self, text: str) -> Literal["fraud", "good"] | None:
        """Give what a cell says, in any case; None for any other text."""
        told = text.casefold()
        if told in map(str.casefold, self.fraud):
            return "fraud"
        return "good" if told in map(str.casefold, self.good) else None


class PaymentSources(_Part):
    """Where each field of a payment comes from; the card's come from the card."""

    payment_id: IdSource
    account_id: IdSource
    user_id: IdSource
    amount: NumberSource
    currency: Source
    merchant_id: IdSource
    country: Source
    city: Source | None = None
    status: Source = Source(value="AUTHORIZED")
    entry_mode: Source | None = None
    merchant_category: Source | None = None
    latitude: NumberSource | None = None
    longitude: NumberSource | None = None

    @model_validator(mode="after")
    def _has_what_is_needed(self) -> Self:
        may_be_left_out = {"city", "entry_mode", "merchant_category", "latitude", "longitude"}
        for name, source in self.sources():
            if source.optional and name not in may_be_left_out:
                msg = f"{name} cannot be optional; give it a default"
                raise ValueError(msg)
            if isinstance(source, IdSource) and source.made_from == "row" and name != "payment_id":
                msg = f"{name} cannot be made from the row, which is one payment"
                raise ValueError(msg)
        return self

    def sources(self) -> list[tuple[str, Source]]:
        """Give the fields that are mapped, with where they come from, in the contract's order."""
        return [(name, source) for name, source in self if source is not None]


class Mapping(_Part):
    """What the columns of a file mean."""

    description: str = ""
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8"
    missing: tuple[str, ...] = ()
    """Texts that mean an empty cell, besides none at all."""
    time: TimeSource
    card: CardSource
    payment: PaymentSources
    label: LabelSource | None = None

    @field_validator("separator")
    @classmethod
    def _separates(cls, value: str) -> str:
        if value in '"\r\n':
            msg = "must be a character that is no quote and no line end"
            raise ValueError(msg)
        return value

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            "1".encode(value)
        except LookupError:
            msg = "is no encoding that Python knows, like utf-8 or cp1252"
            raise ValueError(msg) from None
        # A byte order mark would be part of the first column's name.
        return "utf-8-sig" if value.lower().replace("_", "-") in {"utf-8", "utf8"} else value

    @model_validator(mode="after")
    def _keeps_the_number_to_the_card(self) -> Self:
        number = self.card.number
        label = [("label", self.label.column)] if self.label else []
        used = [(name, each) for name, s in self.payment.sources() for each in s.columns_read]
        for name, column in (*used, *label, *(("time", each) for each in self.time.columns_read)):
            if column == number:
                msg = f"{name} must not be read from the column of the card number; use from: card"
                raise ValueError(msg)
        return self

    def with_label(self, column: str | None) -> Self:
        """Give the mapping with another column of labels; itself for None."""
        if column is None:
            return self
        told = {"fraud": self.label.fraud, "good": self.label.good} if self.label else {}
        return self.model_copy(update={"label": LabelSource(column=column, **told)})

    def columns(self) -> dict[str, bool]:
        """Give every column that is read, and whether it must be there."""
        found: dict[str, bool] = {}
        for source in (self.time, self.card):
            found |= dict.fromkeys(source.columns_read, True)
        for _, each in self.payment.sources():
            for column in each.columns_read:
                found[column] = found.get(column, False) or each.is_needed
        if self.label is not None:
            found.setdefault(self.label.column, False)
        return found


def built_in_mappings() -> tuple[str, ...]:
    """Give the names of the mappings that come with cardwatch."""
    files = resources.files(__package__).joinpath("mappings").iterdir()
    return tuple(sorted(f.name.removesuffix(_SUFFIX) for f in files if f.name.endswith(_SUFFIX)))


def find_mapping(name_or_path: str) -> Mapping:
    """Read a mapping by its name, or from a file; raises ImportFileError."""
    names = built_in_mappings()
    if name_or_path in names:
        file = resources.files(__package__).joinpath("mappings", name_or_path + _SUFFIX)
        return parse_mapping(file.read_text(encoding="utf-8"), name_or_path)
    try:
        text = Path(name_or_path).read_text(encoding="utf-8")
    except FileNotFoundError:
        msg = (
            f"there is no mapping {name_or_path}: name one of {', '.join(names)}, or a YAML file "
            "(docs/import.md says what is in it)"
        )
        raise ImportFileError(msg) from None
    except UnicodeDecodeError:
        msg = f"the mapping {name_or_path} is not UTF-8; save it as text in UTF-8"
        raise ImportFileError(msg) from None
    return parse_mapping(text, name_or_path)


def parse_mapping(text: str, name: str) -> Mapping:
    """Read a mapping's YAML; raises ImportFileError with the place and the remedy."""
    try:
        read: Any = yaml.load(text, _TextLoader)  # noqa: S506  it is a SafeLoader  # nosec B506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}" if mark else ""
        msg = f"the mapping {name}{place} is no YAML: {error.problem}"
        raise ImportFileError(msg) from None
    except yaml.YAMLError:
        msg = f"the mapping {name} is no YAML text"
        raise ImportFileError(msg) from None
    try:
        return Mapping.model_validate(read)
    except ValidationError as error:
        raise ImportFileError(_told(error, name)) from None


class _TextLoader(yaml.SafeLoader):
    """Reads every scalar as the text it is: no country NO becomes false, no code 0742 a number."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012  as its parent has it


def _told(error: ValidationError, name: str) -> str:
    items = error.errors(include_url=False, include_input=False)
    problems = []
    for item in items[:MAX_PROBLEMS_SHOWN]:
        place = ".".join(map(str, item["loc"])) or "the whole"
        if item["type"] == "extra_forbidden":
            text = "is not part of the mapping language"
        elif item["type"] == "missing":
            text = "is missing"
        else:
            text = item["msg"].removeprefix("Value error, ")
        problems.append(f"{place} {text}")
    more = len(items) - MAX_PROBLEMS_SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    return f"the mapping {name}: {'; '.join(problems)}{rest}; docs/import.md has the language"
