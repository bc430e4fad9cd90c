"""Decodes records twice, by Flink's own `json` format and by the local edge's decoder.

    .venvs/flink/bin/python tests/adapters/flink_json_rows.py < records > rows
    .venvs/flink/bin/python tests/adapters/flink_json_rows.py through-sql < records > rows
    .venvs/flink/bin/python tests/adapters/flink_json_rows.py failing < records > failures

One record a line, base64; one JSON list a line: [Flink's rows, the decoder's rows]. Flink's format
is made by its factory from the declared table and the production connector's own options, as the
connector makes it, and called without a job, so a thousand records take seconds. `through-sql`
runs a job instead: the records come as a file on one side and as the local edge's rows on the
other, and what SQL sees of the table `events` is written as one list: [from the file, from the
edge], each row a list of texts. `failing` gives each record's row to somebody who fails over it, as
an operator on the source's task may: one JSON list a line of what comes out of the format, with
the connector's options and without its `ignore-parse-errors`, each the failure's class or null.
"""

# ruff: noqa: ANN401, SLF001, T201  Java objects have no types, and the declared columns no public way

import base64
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "flink_app"))

from py4j.protocol import Py4JJavaError  # noqa: E402
from pyflink.common import Row  # noqa: E402
from pyflink.common.time import Instant as FlinkInstant  # noqa: E402
from pyflink.datastream import StreamExecutionEnvironment  # noqa: E402
from pyflink.java_gateway import get_gateway  # noqa: E402
from pyflink.table import Schema, StreamTableEnvironment  # noqa: E402

from edges import schema_of  # noqa: E402
from local_json import Decoder, Fields, Kind, Text  # noqa: E402
from local_kinesis import columns_of, row_type  # noqa: E402
from sql_files import SQL, sql_text  # noqa: E402


def main() -> None:
    """Read records, write rows."""
    env = StreamExecutionEnvironment.get_execution_environment()
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(sql_text(SQL / "schemas" / "events.sql"))
    columns = columns_of(tables, "events_schema")
    format_ = flink_format(tables)
    decoder = Decoder(columns)
    java = get_gateway().jvm
    functions = java.org.apache.flink.api.common.functions
    for line in sys.stdin:
        data = base64.b64decode(line)
        collected = java.java.util.ArrayList()
        format_.deserialize(data, functions.util.ListCollector(collected))
        # A null here would reach the job, which dies of it.
        theirs = [None if row is None else row_of(row, columns) for row in collected]
        print(json.dumps([theirs, lists_of(decoder.decode(data))]), flush=True)


def through_sql() -> None:
    """Read records, write what SQL sees of them."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    tables = StreamTableEnvironment.create(env)
    tables.get_config().set("table.local-time-zone", "UTC")
    tables.execute_sql(sql_text(SQL / "schemas" / "events.sql"))
    records = [base64.b64decode(line) for line in sys.stdin]

    columns = columns_of(tables, "events_schema")
    decoder, arrived = Decoder(columns, row=Row), FlinkInstant(0, 0)
    rows = [Row(*row, arrived) for record in records for row in decoder.decode(record)]
    env.set_python_executable(sys.executable)
    decoded = env.from_collection([None]).flat_map(lambda _: rows, output_type=row_type(columns))
    declared = Schema.new_builder().from_schema(schema_of(tables, "events_schema"))
    schema = declared.column("arrived_at", "TIMESTAMP_LTZ(3)").build()
    tables.create_temporary_view("from_edge", tables.from_data_stream(decoded, schema))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        path.write_bytes(b"\n".join(records))
        files = SQL / "connectors" / "files" / "events.sql"
        tables.execute_sql(sql_text(files, {"events_path": str(path)}))
        columns_as_texts = "`type`, event_date_origin, CAST(event_json_data AS STRING)"
        seen = []
        for table in ("events", "from_edge"):
            query = f"SELECT {columns_as_texts} FROM {table}"  # noqa: S608  the texts are ours
            seen.append([list(row) for row in tables.sql_query(query).execute().collect()])
    print(json.dumps(seen))


def failing() -> None:
    """Read records, write how the format fails where whoever takes its rows does."""
    env = StreamExecutionEnvironment.get_execution_environment()
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(sql_text(SQL / "schemas" / "events.sql"))
    formats = [flink_format(tables), flink_format(tables, without="ignore-parse-errors")]
    java = get_gateway().jvm
    collector = java.org.apache.flink.api.common.functions.util.ListCollector
    for line in sys.stdin:
        data = base64.b64decode(line)
        failures: list[str | None] = []
        for format_ in formats:
            # A list that takes nothing.
            takes_none = collector(java.java.util.Collections.emptyList())
            try:
                format_.deserialize(data, takes_none)
                failures.append(None)
            except Py4JJavaError as error:
                failures.append(error.java_exception.getClass().getSimpleName())
        print(json.dumps(failures), flush=True)


def flink_format(tables: StreamTableEnvironment, *, without: str = "") -> Any:
    """Make the deserializer of the declared table, by the factory, with the connector's options."""
    java = get_gateway().jvm
    environment = tables._j_tenv
    identifier = environment.getCatalogManager().qualifyIdentifier(
        environment.getParser().parseIdentifier("events_schema")
    )
    found = environment.getCatalogManager().getTable(identifier).get()
    options = java.org.apache.flink.configuration.Configuration()
    declared = (SQL / "connectors" / "kinesis" / "events.sql").read_text()
    for name, value in re.findall(r"'json\.([\w.-]+)' = '([^']+)'", declared):
        if name != without:
            options.setString(name, value)
    format_ = (
        java.org.apache.flink.formats.json.JsonFormatFactory()
        .createDecodingFormat(None, options)
        .createRuntimeDecoder(
            java.org.apache.flink.table.runtime.connector.source.ScanRuntimeProviderContext.INSTANCE,
            found.getResolvedSchema().toPhysicalRowDataType(),
        )
    )
    format_.open(None)
    return format_


def row_of(row: Any, fields: Fields) -> list[Any]:
    """Take Flink's internal row apart."""
    return [
        None if row.isNullAt(at) else value_of(row, at, kind)
        for at, (_, kind) in enumerate(fields.columns)
    ]


def value_of(row: Any, at: int, kind: Kind) -> Any:
    """Give one field of Flink's internal row."""
    match kind:
        case Text():
            return row.getString(at).toString()
        case Fields():
            return row_of(row.getRow(at, len(kind.columns)), kind)


def lists_of(value: Any) -> Any:
    """Make the decoder's row comparable: tuples as lists."""
    return [lists_of(item) for item in value] if isinstance(value, tuple | list) else value


if __name__ == "__main__":
    {"through-sql": through_sql, "failing": failing}.get("".join(sys.argv[1:]), main)()
