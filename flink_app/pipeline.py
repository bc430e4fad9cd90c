"""The job: SQL files in the order of what they read, between two injected edges.

    schemas/events -> events (edge) -> views -> detections -> outputs (edge)

queries.py finds and orders them. Some views are boundaries: their rows become a stream and a table
again, so that those who read them share one plan, and so that their row time is a column of theirs.
The watermarks stay the source's. The rows pass as Flink's internal RowData, so that a boundary
costs no conversion.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment, Table

from edges import Edge, Job, SqlEdge
from kinesis_connector import ConnectorEdge
from properties import Properties, PropertyError
from queries import Query, find_queries, in_order
from sql_files import SQL, sql_text

DETECTION_GROUP = "cardwatch.detection"
FLINK_GROUP = "cardwatch.flink"
"""Flink options of a job that is not on Managed Flink, which has its own way to set them."""

_OPTIONS = {
    # Windows and the texts of times are UTC.
    "table.local-time-zone": "UTC",
    # A watermark follows the row that moves it, not a timer: where it stands among the rows must
    # not depend on the run.
    "pipeline.auto-watermark-interval": "0 ms",
    "pipeline.object-reuse": "true",
}


def _local_edge() -> Edge:
    from local_kinesis import LocalEdge  # noqa: PLC0415  it needs boto3, the other edges do not

    return LocalEdge()


EDGES: Mapping[str, Callable[[], Edge]] = {
    "connector": ConnectorEdge,
    "files": lambda: SqlEdge("files"),
    "local": _local_edge,
}


def flink_options(edge: Edge, properties: Properties, *, managed: bool) -> dict[str, str]:
    """Give every Flink option that the program sets; raises PropertyError.

    Managed Flink refuses a job that sets an option outside its allow-list; a test holds this
    function to the list.
    """
    idle_ms = properties.whole_number(
        DETECTION_GROUP, "idle_timeout_ms", 2_000, least=0, most=600_000
    )
    options = {**_OPTIONS, "table.exec.source.idle-timeout": f"{idle_ms} ms"}
    extra = dict(properties.groups.get(FLINK_GROUP, {}))
    if managed and extra:
        key = min(extra)
        msg = (
            f"property {key} of group {FLINK_GROUP} cannot be set on Managed Flink: remove the "
            "group, and set the application's Flink configuration instead"
        )
        raise PropertyError(msg)
    return {**options, **edge.options(properties), **extra}


def read_events(edge: Edge, properties: Properties, *, managed: bool = False) -> Job:
    """Begin a job with the table `events`, read by the edge. Raises PropertyError."""
    delay_ms = properties.whole_number(
        DETECTION_GROUP, "watermark_delay_ms", 1_000, least=0, most=600_000
    )
    options = flink_options(edge, properties, managed=managed)
    configuration = Configuration()
    for key, value in options.items():
        configuration.set_string(key, value)
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    tables = StreamTableEnvironment.create(env)
    for key, value in options.items():
        if key.startswith("table."):
            tables.get_config().set(key, value)
    job = Job(env, tables, tables.create_statement_set(), properties)

    delay = f"{delay_ms // 1000}.{delay_ms % 1000:03d}"
    tables.execute_sql(sql_text(SQL / "schemas" / "events.sql", {"watermark_delay": delay}))
    edge.register_events(job)
    return job


def chosen_detections(properties: Properties, known: Collection[str]) -> list[str]:
    """Give the detections that the property asks for, all of them by default.

    Raises PropertyError for one that has no file.
    """
    asked = properties.text(DETECTION_GROUP, "detections", ",".join(known))
    names = sorted({name.strip() for name in asked.split(",")})
    for name in names:
        if name not in known:
            msg = (
                f"property detections of group {DETECTION_GROUP} names {name!r}, which is none of "
                f"{', '.join(sorted(known))}: correct it in {properties.source}"
            )
            raise PropertyError(msg)
    return names


def build(edge: Edge, properties: Properties, *, managed: bool = False) -> Job:
    """Build the job between the edge's ends; nothing is executed.

    Raises PropertyError, and QueryError where the SQL files do not fit together.
    """
    queries = find_queries()
    detections = chosen_detections(
        properties, [query.name for query in queries.values() if query.is_detection]
    )
    ordered = in_order(queries, detections)
    job = read_events(edge, properties, managed=managed)
    for query in ordered:
        _register(job.tables, query)
    outputs = " UNION ALL ".join(f"SELECT record FROM {name}" for name in detections)  # noqa: S608  names of files
    edge.write_outputs(job, job.tables.sql_query(outputs))
    # Only now are all statements planned together, into the environment that is executed.
    job.statements.attach_as_datastream()
    return job


def _register(tables: StreamTableEnvironment, query: Query) -> None:
    table = tables.sql_query(query.text)
    if query.boundary is not None:
        table = _through_a_stream(tables, table, row_time=query.boundary)
    tables.create_temporary_view(query.name, table)


def _through_a_stream(tables: StreamTableEnvironment, table: Table, *, row_time: str) -> Table:
    """Give a table as a stream and a table again, with the row time given."""
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
    schema = (
        java.org.apache.flink.table.api.Schema.newBuilder()
        .fromRowDataType(columns)
        .watermark(row_time, "SOURCE_WATERMARK()")
        .build()
    )
    return Table(environment.fromDataStream(stream, schema), tables)
