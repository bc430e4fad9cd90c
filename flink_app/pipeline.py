"""The job: SQL files in order, between two injected edges.

    schemas/events -> events (edge) -> arrivals -> timed_arrivals -> judged_payments -> stolen
        -> detections/payment_alert, detections/payment_alert_summary -> outputs (edge)

Some views are boundaries: their rows become a stream and a table again, with another row time.
`timed_arrivals` is timed by judged_at, so that no row is late for its judgement; `stolen` by the
payment's own time, so that windows count late payments, and both detections share one judgement.
The rows pass as Flink's internal RowData, so that a boundary costs no conversion.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment, Table

from edges import Edge, Job, SqlEdge
from kinesis_connector import ConnectorEdge
from properties import Properties, PropertyError
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


def build(edge: Edge, properties: Properties, *, managed: bool = False) -> Job:
    """Build the job between the edge's ends; nothing is executed. Raises PropertyError."""
    job = read_events(edge, properties, managed=managed)
    tables = job.tables
    _boundary(tables, "arrivals", row_time="rt", gather=True)
    _boundary(tables, "timed_arrivals", row_time="judged_at")
    _view(tables, "views/judged_payments")
    _boundary(tables, "stolen", row_time="rt")
    _view(tables, "views/on_time")
    _view(tables, "views/alert_payments")
    _view(tables, "views/summary_parts")
    _view(tables, "detections/payment_alert")
    _view(tables, "detections/payment_alert_summary")
    edge.write_outputs(job, tables.sql_query(sql_text(SQL / "outputs.sql")))
    # Only now are all statements planned together, into the environment that is executed.
    job.statements.attach_as_datastream()
    return job


def _view(tables: StreamTableEnvironment, path: str) -> None:
    query = sql_text(SQL / f"{path}.sql")
    tables.create_temporary_view(path.rpartition("/")[2], tables.sql_query(query))


def _boundary(
    tables: StreamTableEnvironment, name: str, *, row_time: str, gather: bool = False
) -> None:
    """Register a view as a stream with the row time given; the watermarks stay the source's.

    `gather` brings all its rows to one task, in which CURRENT_WATERMARK is that of all shards.
    """
    # PyFlink's own to_data_stream converts every row to Python's Row; Java's takes a class.
    query: Any = tables.sql_query(sql_text(SQL / "views" / f"{name}.sql"))._j_table  # noqa: SLF001
    java: Any = get_gateway().jvm
    environment = tables._j_tenv  # noqa: SLF001
    columns = query.getResolvedSchema().toPhysicalRowDataType().notNull()
    row_data = java.Class.forName(
        "org.apache.flink.table.data.RowData",
        False,  # noqa: FBT003  a Java call
        java.Thread.currentThread().getContextClassLoader(),
    )
    stream = environment.toDataStream(query, columns.bridgedTo(row_data))
    if gather:
        stream = getattr(stream, "global")()
    schema = (
        java.org.apache.flink.table.api.Schema.newBuilder()
        .fromRowDataType(columns)
        .watermark(row_time, "SOURCE_WATERMARK()")
        .build()
    )
    tables.create_temporary_view(name, Table(environment.fromDataStream(stream, schema), tables))
