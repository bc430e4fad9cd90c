"""Generates what comes of the contract, settings and rules, or checks that it is up to date.

    python tools/contract.py            write what is derived from them
    python tools/contract.py --check    exit 1 and name each file that differs

A type that a target cannot hold is an error: nothing is guessed.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from textwrap import indent, wrap
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import sqlglot
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode
from sqlglot import exp

from cardwatch.contract.canary import CANARY_TOKEN
from cardwatch.contract.currencies import MINOR_UNITS
from cardwatch.contract.rule import FactorPoints
from cardwatch.contract.streams import (
    EARLIEST_EVENT_TIME,
    EVENT_TYPES,
    MAX_CLOCK_SKEW,
    MAX_DATA_BYTES,
    Envelope,
)
from cardwatch.deployment.template import read_template
from cardwatch.rules.file import (
    LEAST_LIMITS,
    LEAST_OTHER_LIMIT,
    MOST_OTHER_SMALL,
    MOST_SMALL,
    read_rules_file,
)
from cardwatch.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
FLINK_SQL = ROOT / "flink_app" / "sql"

SQL_WIDTH = 100

Generated = Iterator[tuple[Path, str]]


def json_schemas() -> Generated:
    """One JSON Schema per event type: the envelope with that type's data.

    Of what producers write it says what is read, of what cardwatch writes how it is written.
    """
    for name, event_type in EVENT_TYPES.items():
        mode: JsonSchemaMode = (
            "validation" if event_type.written_by == "producers" else "serialization"
        )
        envelope = Envelope.model_json_schema(mode=mode)
        data = event_type.data.model_json_schema(mode=mode)
        definitions = data.pop("$defs", {})
        properties = envelope["properties"]
        properties["type"] = {**properties["type"], "const": name}
        properties["type"].pop("enum", None)
        properties["event_json_data"] = data
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": name,
            "description": f"Generated from the contract by `make contract`. {data['description']}",
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            "required": envelope["required"],
        }
        if definitions:
            schema["$defs"] = definitions
        path = ROOT / "events" / "schemas" / f"{name.lower()}.v1.schema.json"
        yield path, json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


RECORD_KEYS: Final = {"PAYMENT_EVENT": ("payment_id", "card_token", "status")}
"""What makes two events of a type one record, beside their event_id."""
WIDTHS: Final = (64, 256, 1024, 4096, MAX_DATA_BYTES)
"""Of columns of text: a field may grow a little without another column."""
ENVELOPE_COLUMNS: Final = {
    "event_id": "VARCHAR(128) NOT NULL",
    "event_date_origin": "TIMESTAMP NOT NULL",
    "event_dw_regdate": "TIMESTAMP NOT NULL",
    "batch": "BIGINT NOT NULL",
}


def warehouse_refresh() -> Generated:
    """One step per event type that puts the new events of staging.events into their typed table."""
    for name, event_type in EVENT_TYPES.items():
        table = f"typed.{name.lower()}"
        fields = event_type.data.model_fields
        said = " ".join(str(event_type.data.__doc__).split())
        question = f"Question: which {name}s are new? {said}"
        taken = ["copies.copy_number = 1", "known.event_id IS NULL"]
        if "card_token" in fields:
            # Here, so that no mart and no audit has to think of canaries.
            taken.append(
                "COALESCE(JSON_EXTRACT_PATH_TEXT(copies.data, 'card_token'), '')\n"
                f"    <> '{CANARY_TOKEN}'"
            )
        where = f"WHERE {' AND '.join(taken)}"
        if len(where) > SQL_WIDTH:
            where = "WHERE\n    " + "\n    AND ".join(taken)
        copies = f"""\
SELECT
    copies.event_id,
    copies.event_date_origin,
    copies.event_dw_regdate,
{_indented((_redshift_value(field, info.annotation) for field, info in fields.items()), 4)}
FROM (
{_numbered_copies(f"event_type = '{name}'")}
) AS copies
LEFT JOIN {table} AS known
    ON copies.event_id = known.event_id
{where}"""  # noqa: S608 - names come from the contract
        same = "Of the copies of an event the first that is seen counts"
        if key := RECORD_KEYS.get(name):
            same += f", and of the events of one ({', '.join(key)}) as well"
            columns = ["event_id", "event_date_origin", "event_dw_regdate", *fields]
            plain = ",\n".join(f"    records.{column}" for column in columns)
            plain = plain.replace(
                "\n    records.event_dw_regdate,",
                "\n    records.event_dw_regdate,\n    :to_batch AS batch,",
            )
            numbered = ",\n".join(f"        events.{column}" for column in columns)
            same_key = "\n        AND ".join(f"records.{column} = known.{column}" for column in key)
            select = f"""\
SELECT
{plain}
FROM (
    SELECT
{numbered},
        ROW_NUMBER() OVER (
            PARTITION BY {", ".join(f"events.{column}" for column in key)}
            ORDER BY events.event_dw_regdate, events.event_date_origin, events.event_id
        ) AS record_number
    FROM (
{indent(copies, " " * 8)}
    ) AS events
) AS records
LEFT JOIN {table} AS known
    ON
        {same_key}
WHERE records.record_number = 1 AND known.event_id IS NULL"""  # noqa: S608 - the same
        else:
            select = copies.replace(
                "    copies.event_dw_regdate,\n",
                "    copies.event_dw_regdate,\n    :to_batch AS batch,\n",
                1,
            )
        header = "\n".join(
            f"-- {line}"
            for text in (question, f"{same}. Times are UTC.")
            for line in wrap(text, SQL_WIDTH - 3)
        )
        inserted = ",\n".join(f"    {column}" for column in [*ENVELOPE_COLUMNS, *fields])
        sql = f"""\
-- Generated from the contract by `make contract`: change the contract, not this file.
--
{header}
-- Reads: staging.events, refresh.loads, {table}
-- Writes: {table}

INSERT INTO {table} (
{inserted}
)
{select};
"""
        yield ROOT / "warehouse" / "refresh" / "typed" / f"{name.lower()}.sql", sql


def _numbered_copies(types: str, more_column: str = "", *conditions: str) -> str:
    """Select new events of these types, each one's copies numbered in the order they were seen."""
    columns = ["event_id", *filter(None, [more_column]), "event_date_origin", "event_dw_regdate"]
    selected = "\n".join(f"        {column}," for column in columns)
    more = "".join(f"\n        AND {condition}" for condition in conditions)
    return f"""\
    SELECT
{selected}
        event_json_data AS data,
        ROW_NUMBER() OVER (
            PARTITION BY event_id
            ORDER BY event_dw_regdate, event_date_origin, event_json_data
        ) AS copy_number
    FROM staging.events
    WHERE
        {types}
        AND event_dw_regdate BETWEEN :loaded_from AND :loaded_to
        AND event_dw_regdate IN (
            SELECT loads.loaded_at
            FROM refresh.loads
            WHERE loads.batch > :from_batch AND loads.batch <= :to_batch
        ){more}"""  # noqa: S608 - names come from the contract


def warehouse_canaries() -> Generated:
    """Give the step that keeps what the typed tables leave out."""
    types = "event_type IN ('PAYMENT_EVENT', 'PAYMENT_ALERT')"
    of_canary = f"JSON_EXTRACT_PATH_TEXT(event_json_data, 'card_token')\n        = '{CANARY_TOKEN}'"
    yield (
        ROOT / "warehouse" / "refresh" / "facts" / "canaries.sql",
        f"""\
-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Question: which canaries came, and when were they, and their alerts, staged?
-- Of the copies of an event the first that is seen counts.
-- Reads: staging.events, refresh.loads, facts.canaries
-- Writes: facts.canaries

INSERT INTO facts.canaries (
    event_id, event_type, payment_id, origin_at, detected_at, staged_at
)
SELECT
    copies.event_id,
    copies.event_type,
    JSON_EXTRACT_PATH_TEXT(copies.data, 'payment_id') AS payment_id,
    copies.event_date_origin AS origin_at,
    CAST(
        NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, 'detected_at'), '') AS TIMESTAMP
    ) AS detected_at,
    copies.event_dw_regdate AS staged_at
FROM (
{_numbered_copies(types, "event_type", of_canary)}
) AS copies
LEFT JOIN facts.canaries AS known
    ON copies.event_id = known.event_id
WHERE copies.copy_number = 1 AND known.event_id IS NULL;
""",  # noqa: S608 - the contract's constant
    )


def warehouse_tables() -> Generated:
    """Give a migration for what the contract has and the migrations so far lack.

    A released migration never changes, so what is new comes as the next one; while all is there,
    nothing is generated.
    """
    folder = ROOT / "warehouse" / "tables"
    there = _columns_of_migrations(folder)
    statements = []
    for name, event_type in EVENT_TYPES.items():
        table = f"typed.{name.lower()}"
        schemas = event_type.data.model_json_schema()["properties"]
        columns = {
            field: _redshift_type(field, info.annotation, schemas[field])
            for field, info in event_type.data.model_fields.items()
        }
        if table not in there:
            lines = ",\n".join(
                f"    {column} {kind}" for column, kind in (ENVELOPE_COLUMNS | columns).items()
            )
            statements.append(
                f"CREATE TABLE IF NOT EXISTS {table} (\n{lines}\n)\n"
                "DISTSTYLE KEY\nDISTKEY (event_id)\nSORTKEY (event_date_origin);\n"
            )
        for column, kind in columns.items():
            if table in there and column not in there[table]:
                statements.append(f"ALTER TABLE {table} ADD COLUMN {column} {kind};\n")
            elif table in there and _narrower(there[table][column], kind):
                msg = f"{table}.{column} is {there[table][column]}, the contract needs {kind}"
                raise TypeError(msg)
    if statements:
        number = len(list(folder.glob("*.sql"))) + 1
        sql = (
            "-- Generated from the contract by `make contract`: typed tables of new event types,\n"
            "-- and columns of new fields.\n\n" + "\n".join(statements)
        )
        yield folder / f"{number:04}_typed_events.sql", sql


def _columns_of_migrations(folder: Path) -> dict[str, dict[str, str]]:
    """Give the type of each column of each table that the migrations make."""
    tables: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*.sql")):
        for statement in sqlglot.parse(path.read_text(encoding="utf-8"), read="redshift"):
            if not isinstance(statement, (exp.Create, exp.Alter)):
                continue
            table = statement.find(exp.Table)
            columns = statement.find_all(exp.ColumnDef)
            if table is not None:
                tables.setdefault(f"{table.db}.{table.name}", {}).update(
                    {column.name: column.kind.sql("redshift") for column in columns if column.kind}
                )
    return tables


def _narrower(there: str, needed: str) -> bool:
    """Say whether a column is too narrow, or of another type."""
    if there.startswith("VARCHAR(") and needed.startswith("VARCHAR("):
        return int(there[8:-1]) < int(needed[8:-1])
    return there.replace(" ", "") != needed.replace(" ", "")


def _redshift_type(name: str, annotation: object, schema: Mapping[str, Any]) -> str:
    """Give a field's column type; a text's width is in bytes, up to four for each character."""
    kind = _plain_type(annotation)
    plain: dict[object, str] = {
        bool: "BOOLEAN",
        int: "BIGINT",
        Decimal: "DECIMAL(19, 4)",
        datetime: "TIMESTAMP",
    }
    if kind in plain:
        return plain[kind]
    if _stays_json(kind):
        return f"VARCHAR({MAX_DATA_BYTES})"
    if get_origin(kind) is Literal:
        return "VARCHAR(64)"
    texts = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    if kind is str and all("maxLength" in text for text in texts):
        longest = 4 * max(text["maxLength"] for text in texts)
        return f"VARCHAR({next(width for width in WIDTHS if width >= longest)})"
    msg = f"{name}: the warehouse has no type for {kind}; a text needs a max_length"
    raise TypeError(msg)


def _indented(items: Iterable[str], spaces: int) -> str:
    return ",\n".join(indent(item, " " * spaces) for item in items)


_DEEPEST: Final = 13
"""How far the items of a SELECT are moved in at most, and the comma behind them."""


def _redshift_value(name: str, annotation: object) -> str:
    """Give the SELECT item for one field; a missing key and a JSON null are both NULL."""
    value = f"NULLIF(JSON_EXTRACT_PATH_TEXT(copies.data, '{name}'), '')"
    kind = _plain_type(annotation)
    origin = get_origin(kind)
    # Redshift casts no text to BOOLEAN, hence the comparison; a list stays JSON text.
    compared = " = 'true'" if kind is bool else ""
    if kind is int:
        value = f"CAST({value} AS BIGINT)"
    elif kind is Decimal:
        value = f"CAST({value} AS DECIMAL(19, 4))"
    elif kind is datetime:
        value = f"CAST({value} AS TIMESTAMP)"
    elif kind not in {bool, str} and not _stays_json(kind) and origin is not Literal:
        msg = f"{name}: the warehouse has no type for {kind}"
        raise TypeError(msg)
    item = f"{value}{compared} AS {name}"
    call, _, inner = value.partition("(")
    if len(item) > SQL_WIDTH - _DEEPEST and call in {"CAST", "NULLIF"}:
        item = f"{call}(\n    {inner[:-1]}\n){compared} AS {name}"
    return item


def _stays_json(kind: object) -> bool:
    """Say whether a field is JSON text in the warehouse: a list, or a model within the data."""
    return get_origin(kind) is tuple or (isinstance(kind, type) and issubclass(kind, BaseModel))


def _plain_type(annotation: object) -> object:
    """Take away Annotated and `| None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain_type(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        kinds = [_plain_type(arg) for arg in get_args(annotation) if arg is not type(None)]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def flink_tables() -> Generated:
    """Give the Flink job's input: the columns that an edge reads, and the rule of event time."""
    timed = [t for t in EVENT_TYPES.values() if t.event_time != "none"]
    read = _words_of_queries()
    fields = {name: None for t in timed for name in t.data.model_fields if name in read}
    columns = ",\n".join(f"        {name} STRING" for name in fields)
    yield (
        FLINK_SQL / "schemas" / "events.sql",
        f"""\
-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- What an edge's table `events` has of every record on the stream: the fields that a query reads.
-- All types share one row: a field that a type does not have is null. All are text here, numbers
-- and times too, and read by the queries: Flink's json format would write out whatever exponent a
-- number has, digit by digit, so that one short record stalls the job, and takes no offset.
-- An edge adds arrived_at: when the stream took the record, null where that is not known.
CREATE TEMPORARY TABLE events_schema (
    `type` STRING,
    event_date_origin STRING,
    event_json_data ROW <
{columns}
    >
) WITH ('connector' = 'blackhole')
""",
    )
    own_time = ", ".join(f"'{t.name}'" for t in timed if t.event_time == "event_date_origin")
    cases = "".join(
        f"""
                WHEN
                    `type` = '{t.name}'
                    AND {t.event_time} >= {_flink_instant(EARLIEST_EVENT_TIME)}
                    AND {t.event_time} <= origin
                    THEN {t.event_time}"""
        for t in timed
        if t.event_time != "event_date_origin"
    )
    epoch = _flink_instant(datetime.fromtimestamp(0, UTC))
    yield (
        FLINK_SQL / "views" / "timed_events.sql",
        f"""\
-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- The events with rt, event time. One without a valid time gets the epoch: it takes part in nothing
-- and never moves the watermark. Of the future is what is too far ahead of its arrival on the
-- stream or, where the edge does not know that, of the clock. The watermark moves in steps of
-- 100 ms.
-- reads: flat_events
-- boundary: rt
-- watermark: CAST(rt AS TIMESTAMP_LTZ(1)) - INTERVAL '${{watermark_delay}}' SECOND
-- noqa: all columns of the view below, whichever they are.
SELECT
    *, -- noqa: AM04
    CASE
        WHEN
            origin >= {_flink_instant(EARLIEST_EVENT_TIME)}
            AND origin
            <= COALESCE(arrived_at, CURRENT_TIMESTAMP)
            + INTERVAL '{MAX_CLOCK_SKEW.total_seconds():.0f}' SECOND
            THEN CASE
                WHEN `type` IN ({own_time}) THEN origin{cases}
                ELSE {epoch}
            END
        ELSE {epoch}
    END AS rt
FROM flat_events
""",  # noqa: S608 - names come from the contract, and people review the file
    )


FIRST_POINTS = 40
"""Where in a rule's version (views/rule_versions.sql) the points of the first factor begin."""


def flink_rules() -> Generated:
    """Give what the job reads of a rule's version, and what it does by itself until one comes.

    That is what rules.yaml says; its version is older than any that was published.
    """
    folder = FLINK_SQL / "expressions"
    factors = list(FactorPoints.model_fields)
    numbers_of = ["threshold", *(f"points.{factor}" for factor in factors)]
    digits = [f"        ${{three_digits({place})}}" for place in numbers_of]
    digits.append("        ${seconds_said}")
    yield (
        folder / "held_against.sql",
        f"""\
-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- What payments are held against by a rule's settings, at fixed places of 38 characters: 1 for on,
-- the threshold, the points of each factor, and the seconds of the window.
SELECT
    CONCAT(
        CASE JSON_VALUE(settings, '$.state') WHEN 'on' THEN '1' ELSE '0' END,
{f",{chr(10)}".join(digits)}
    )
""",
    )
    places = "\n".join(
        f"{32 * ' '}WHEN '{factor}' THEN {FIRST_POINTS + 3 * number}"
        for number, factor in enumerate(factors)
    )
    yield (
        folder / "points_said.sql",
        f"""\
-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- What the factor ${{it}} adds to the payment's score by the rule's version
-- (views/rule_versions.sql); null where it does not speak against the payment or has no points.
SELECT
    CASE
        WHEN ${{it}}
            THEN
                NULLIF(
                    CAST(
                        SUBSTRING(
                            version,
                            CASE '${{it}}'
{places}
                            END,
                            3
                        ) AS INT
                    ),
                    0
                )
    END
""",
    )
    rules = read_rules_file(ROOT / "rules.yaml")
    cases = []
    for name, settings in rules.settings().items():
        points = [getattr(settings.points, factor, 0) for factor in factors]
        numbers = "".join(f"{number or 0:03}" for number in (settings.threshold, *points))
        head = f"{settings.state == 'on':d}{numbers}{settings.window_seconds or 0:04}"
        version = "|".join(
            (
                24 * " ",
                f"{rules.version:09}",
                head,
                settings.model_dump_json(),
            )
        )
        parts = [f"'{version[i : i + 72]}'" for i in range(0, len(version), 72)]
        literal = f"\n{16 * ' '}|| ".join(parts)
        cases.append(f"        WHEN '{name}'\n            THEN\n{16 * ' '}{literal}")
    yield (
        folder / "own_version.sql",
        f"""\
-- Generated from rules.yaml by `make contract`: change rules.yaml, not this file.
--
-- The version in the artifact of the rule that rule_bucket is of: in force until one is published.
SELECT
    CASE SPLIT_INDEX(rule_bucket, '|', 0)
{chr(10).join(cases)}
    END
""",
    )


def flink_bounds() -> Generated:
    """Give what no limit is below and no small amount above: the rest is not held against them."""
    folder = FLINK_SQL / "expressions"
    yield (
        folder / "least_limit.sql",
        _bound("least that a limit of a rule", LEAST_LIMITS, LEAST_OTHER_LIMIT),
    )
    yield (
        folder / "most_small.sql",
        _bound("most that a small amount", MOST_SMALL, MOST_OTHER_SMALL),
    )


def _bound(what: str, bounds: Mapping[str, int], otherwise: int) -> str:
    amounts: dict[int, list[str]] = {}
    for currency, bound in bounds.items():
        amounts.setdefault(bound, []).append(f"'{currency}'")
    cases = "\n".join(
        f"        WHEN currency IN ({', '.join(sorted(codes))}) THEN {bound}"
        for bound, codes in sorted(amounts.items())
    )
    return f"""\
-- Generated from src/cardwatch/rules/file.py by `make contract`: change that, not this file.
--
-- The {what} may be in the row's currency.
SELECT
    CASE
{cases}
        ELSE {otherwise}
    END
"""


def flink_minor_units() -> Generated:
    """Give how many decimals a currency has, as one text to look in.

    A list of so many literals is 55,000 characters of generated code wherever it is used.
    """
    known = "".join(f" {code}{decimals}" for code, decimals in sorted(MINOR_UNITS.items()))
    literals = "\n    || ".join(f"'{known[i : i + 75]}'" for i in range(0, len(known), 75))
    yield (
        FLINK_SQL / "expressions" / "minor_units.sql",
        f"""\
-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Each currency that has a minor unit behind a space, with its decimals, by ISO 4217.
SELECT
    {literals}
""",
    )


def flink_canary() -> Generated:
    """Give how a query leaves canaries out; what has no card is none."""
    yield (
        FLINK_SQL / "expressions" / "no_canary.sql",
        f"""\
-- Generated from the contract by `make contract`: change the contract, not this file.
--
-- Whether a row is about something else than the canary's card.
SELECT card_token IS DISTINCT FROM '{CANARY_TOKEN}'
""",  # noqa: S608 - the contract's constant
    )


def _words_of_queries() -> set[str]:
    """Give every word of the job's own queries: a field of the contract among them is read."""
    texts = (
        path.read_text(encoding="utf-8")
        for folder in ("views", "detections", "expressions")
        for path in sorted((FLINK_SQL / folder).glob("*.sql"))
    )
    comments_and_literals = re.compile(r"--[^\n]*|'[^']*'")
    return {
        word for text in texts for word in re.findall(r"\w+", comments_and_literals.sub("", text))
    }


def _flink_instant(value: datetime) -> str:
    return f"TO_TIMESTAMP_LTZ({int(value.timestamp() * 1000)}, 3)"


def _parameter_rows() -> Iterator[str]:
    yield "| Parameter | Default | Takes | Meaning |"
    yield "|---|---|---|---|"
    for name, parameter in read_template(ROOT / "template.yaml")["Parameters"].items():
        default = f"`{parameter['Default']}`" if parameter["Default"] != "" else "empty"
        if "AllowedValues" in parameter:
            takes = ", ".join(f"`{value}`" for value in parameter["AllowedValues"])
        elif "MinValue" in parameter:
            takes = f"{parameter['MinValue']} to {parameter['MaxValue']}"
        else:
            takes = parameter["ConstraintDescription"].removeprefix("must be ")
        yield f"| `{name}` | {default} | {takes} | {parameter['Description']} |"


def _concrete(settings: type[Settings]) -> Iterator[type[Settings]]:
    """Give the classes that programs read, not those that they share a part of."""
    shared = settings.__subclasses__()
    if not shared:
        yield settings
    for each in shared:
        yield from _concrete(each)


def settings_document() -> Generated:
    """Give every setting with its default and meaning, as the settings models say it."""
    parts = [
        "# Settings",
        (
            "Generated from `src/cardwatch/settings.py` by `make contract`. Settings are read\n"
            "from the environment; a wrong or missing one is one line that names it. Those of the\n"
            "functions are set by `template.yaml`; those of the one-machine stack have the prefix\n"
            "`CARDWATCH_`."
        ),
    ]
    for model in _concrete(Settings):
        prefix = model.model_config.get("env_prefix", "")
        rows = ["| Variable | Default | Meaning |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            default = "required" if field.is_required() else f"`{field.default}`"
            rows.append(f"| `{(prefix + name).upper()}` | {default} | {field.description} |")
        parts += [f"## {model.__name__.removesuffix('Settings')}", "\n".join(rows)]
    parts += [
        "## Parameters of `sam deploy`",
        (
            "Generated from `template.yaml`. Given as `--parameter-overrides Name=value …`, which\n"
            "takes the place of all of an environment's in `samconfig.toml`. A wrong one, or a\n"
            "combination that cannot work, is refused before anything is made."
        ),
        "\n".join(_parameter_rows()),
    ]
    yield ROOT / "docs" / "settings.md", "\n\n".join(parts) + "\n"


GENERATORS: tuple[Callable[[], Generated], ...] = (
    json_schemas,
    warehouse_tables,
    warehouse_refresh,
    warehouse_canaries,
    flink_tables,
    flink_rules,
    flink_bounds,
    flink_minor_units,
    flink_canary,
    settings_document,
)


def main() -> int:
    """Write the generated files, or compare them; the exit status is 1 when one differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    stale = []
    for generate in GENERATORS:
        for path, text in generate():
            if path.exists() and path.read_text(encoding="utf-8") == text:
                continue
            if check:
                stale.append(path.relative_to(ROOT))
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                print(f"wrote {path.relative_to(ROOT)}")
    for path in stale:
        print(
            f"{path} differs from the contract: run `make contract` and commit the result",
            file=sys.stderr,
        )
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
