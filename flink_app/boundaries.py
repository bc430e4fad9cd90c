"""Boundaries: a table that becomes a stream and a table again.

What reads a boundary shares its plan and its rows, and its row time is a column of its own. The
rows pass as Flink's internal RowData, so that a boundary costs no conversion.
"""

from typing import Any

from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment, Table

SOURCE_WATERMARK = "SOURCE_WATERMARK()"
"""The watermarks that the rows came with."""


def through_a_stream(
    tables: StreamTableEnvironment,
    table: Table,
    *,
    row_time: str | None = None,
    watermark: str | None = None,
) -> Table:
    """Give a table as a stream and a table again.

    `row_time` is the column that is its row time from here on, with the SQL of its watermark, the
    one that the rows came with by default.
    """
    # PyFlink's own to_data_stream converts every row to Python's Row; Java's takes a class.
    query: Any = table._j_table  # noqa: SLF001
    java: Any = get_gateway().jvm
    environment = tables._j_tenv  # noqa: SLF001
    columns = query.getResolvedSchema().toPhysicalRowDataType().notNull()
    row_data = java.Class.forName(
        "org.apache.flink.table.data.RowData",
        False,  # noqa: FBT003  a Java call
        java.Thread.currentThread().getContextClassLoader(),
    )
    stream = environment.toDataStream(query, columns.bridgedTo(row_data))
    schema = java.org.apache.flink.table.api.Schema.newBuilder().fromRowDataType(columns)
    if row_time is not None:
        schema.watermark(row_time, watermark or SOURCE_WATERMARK)
    return Table(environment.fromDataStream(stream, schema.build()), tables)
