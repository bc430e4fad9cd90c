"""Writes an alert about each entity as the connector edge does, to a file in the stream's place.

    .venvs/flink/bin/python tests/adapters/written_records.py < entities > written

A JSON list of entity ids on standard input; on standard output a JSON list of what is written and
one of the keys. The parts are made by the edge's own SQL and put together by the format with the
options of its table.
"""

# ruff: noqa: T201  it answers on standard output

import json
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "flink_app"))

from pyflink.table import EnvironmentSettings, TableEnvironment  # noqa: E402
from pyflink.table.expressions import col  # noqa: E402

from sql_files import SQL, sql_text  # noqa: E402

DETECTED = """SELECT
    JSON_OBJECT(
        KEY 'type' VALUE 'RULE_ALERT',
        KEY 'event_json_data' VALUE JSON_OBJECT(KEY 'entity_id' VALUE id, KEY 'rule' VALUE 'a;b')
    ) AS record,
    id AS partition_key
FROM entities"""


def main() -> None:
    """Write what stands on standard input."""
    tables = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
    tables.get_config().set("parallelism.default", "1")
    entities = tables.from_elements([(entity,) for entity in json.load(sys.stdin)], ["id"])
    tables.create_temporary_view("entities", entities)
    tables.create_temporary_view("detected", tables.sql_query(DETECTED))
    connector = SQL / "connectors" / "kinesis"
    parts = tables.sql_query(sql_text(connector / "written.sql"))
    declared = (connector / "outputs.sql").read_text(encoding="utf-8")
    columns = declared[
        declared.index("outputs (") + len("outputs ") : declared.index("PARTITIONED")
    ]
    csv = "".join(f", {option}" for option in re.findall(r"'csv\.[\w.-]+' = '[^']+'", declared))
    with tempfile.TemporaryDirectory() as folder:
        formats = {"outputs": ("csv", columns, csv), "keys": ("raw", "(partition_key STRING)", "")}
        for table, (format_, its_columns, options) in formats.items():
            tables.execute_sql(
                f"CREATE TEMPORARY TABLE {table} {its_columns} WITH ('connector' = 'filesystem', "
                f"'path' = '{folder}/{table}', 'format' = '{format_}'{options})"
            )
        statements = tables.create_statement_set()
        statements.add_insert("outputs", parts)
        statements.add_insert("keys", parts.select(col("partition_key")))
        statements.execute().wait()
        print(json.dumps([lines(Path(folder) / table) for table in formats]))


def lines(table: Path) -> list[str]:
    """Give what a table's files hold."""
    texts = [path.read_text(encoding="utf-8") for path in table.glob("part-*")]
    return [line for text in texts for line in text.split("\n") if line]


if __name__ == "__main__":
    main()
