"""The job: SQL files in the order of what they read, between two injected edges.

    schemas/events -> events (edge) -> views -> detections -> outputs (edge)

queries.py finds and orders them; some of them are boundaries (boundaries.py).
"""

from collections.abc import Callable, Iterable, Mapping

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from boundaries import through_a_stream
from edges import Edge, Job, SqlEdge
from kinesis_connector import ConnectorEdge
from properties import Properties, PropertyError
from queries import (
    DETECTION_GROUP,
    NO_ROW_TIME,
    Query,
    chosen_detections,
    find_queries,
    in_order,
    settings_of,
)
from sql_files import SQL, sql_text

LIFETIME, FOR_GOOD = "table.exec.state.ttl", "0 ms"
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
        DETECTION_GROUP, "idle_timeout_ms", 30_000, least=0, most=600_000
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
    tables.execute_sql(sql_text(SQL / "schemas" / "events.sql"))
    edge.register_events(job)
    return job


def queries_of(properties: Properties) -> dict[str, Query]:
    """Give the job's queries, its settings filled in; raises PropertyError and QueryError."""
    return find_queries(settings=settings_of(properties))


def register(job: Job, queries: Iterable[Query]) -> None:
    """Register queries that come in order as views of the job."""
    for query in queries:
        table = job.tables.sql_query(query.text)
        if query.boundary is not None:
            row_time = None if query.boundary == NO_ROW_TIME else query.boundary
            # It is planned at once, so the lifetime is that of its own operators.
            job.tables.get_config().set(LIFETIME, query.lifetime or FOR_GOOD)
            table = through_a_stream(
                job.tables, table, row_time=row_time, watermark=query.watermark
            )
            job.tables.get_config().set(LIFETIME, FOR_GOOD)
        job.tables.create_temporary_view(query.name, table)


def job_name(properties: Properties) -> str:
    return " ".join(["cardwatch", properties.text(DETECTION_GROUP, "application", "")]).strip()


def build(edge: Edge, properties: Properties, *, managed: bool = False) -> Job:
    """Build the job between the edge's ends; nothing is executed.

    Raises PropertyError, and QueryError where the SQL files do not fit together.
    """
    queries = queries_of(properties)
    detections = chosen_detections(properties, queries)
    ordered = in_order(queries, detections)
    job = read_events(edge, properties, managed=managed)
    register(job, ordered)
    written: dict[str, list[str]] = {}
    for name in detections:
        written.setdefault(queries[name].stream, []).append(
            f"SELECT record, partition_key FROM {name}"  # noqa: S608  names of files
        )
    edge.write_outputs(
        job,
        {
            stream: job.tables.sql_query(" UNION ALL ".join(selects))
            for stream, selects in sorted(written.items())
        },
    )
    # Only now are all statements planned together, into the environment that is executed.
    job.statements.attach_as_datastream()
    return job
