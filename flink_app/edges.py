"""Edges: where the job's events come from and where its detections go.

The SQL between the edges is the same text everywhere. An edge does two things:

1. it registers the table `events` with exactly the schema of the table `events_schema`
   (sql/schemas/events.sql: physical columns, row time and watermark), and
2. it takes `outputs`, for each stream a table of two texts: `record`, a complete envelope, one JSON
   object, to be written as UTF-8, and `partition_key`, under which it goes onto that stream.

`files` and `connector` are SQL alone (SqlEdge, kinesis_connector.py); `local` is local_kinesis.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import Schema, StatementSet, StreamTableEnvironment, Table

from properties import Properties
from queries import EVENTS_STREAM, of_stream
from sql_files import SQL, placeholders, sql_text, with_options

EDGE_GROUP = "cardwatch.edge"
"""The property group that holds what an edge needs; its keys are the placeholders of its SQL."""


@dataclass(frozen=True)
class Job:
    """One job under construction; what goes into `statements` or `env` is executed together."""

    env: StreamExecutionEnvironment
    tables: StreamTableEnvironment
    statements: StatementSet
    properties: Properties


class Edge(Protocol):
    """One pair of ends of the job."""

    def options(self, properties: Properties) -> Mapping[str, str]:
        """Give Flink options that the edge needs, set before the environment is created."""
        ...

    def register_events(self, job: Job) -> None:
        """Create the table `events` with the schema of `events_schema`; raises PropertyError."""
        ...

    def write_outputs(self, job: Job, outputs: Mapping[str, Table]) -> None:
        """Attach the sinks that write `outputs`, by stream; raises PropertyError.

        A sink is an INSERT in `job.statements` or a DataStream in `job.env`; nothing is executed.
        """
        ...


@dataclass(frozen=True)
class SqlEdge:
    """An edge that is SQL alone: sql/connectors/<name>/{events,outputs,written}.sql."""

    name: str

    def options(self, properties: Properties) -> Mapping[str, str]:
        """Need no option."""
        del properties
        return {}

    def table_options(self, properties: Properties) -> Mapping[str, str]:
        """Give options that the tables get besides those in their SQL: none."""
        del properties
        return {}

    def register_events(self, job: Job) -> None:
        """Create `events` from the edge's DDL; raises PropertyError."""
        self._create(job, "events")

    def write_outputs(self, job: Job, outputs: Mapping[str, Table]) -> None:
        """Create the sink tables from the edge's DDL and insert into them; raises PropertyError."""
        former = job.tables.get_current_database()
        for stream, table in self.sinks(outputs).items():
            # A database for each stream, so that the same statements make its tables.
            database = f"{stream}_stream"
            job.tables.execute_sql(f"CREATE DATABASE {database}")
            job.tables.use_database(database)
            self._create(job, "outputs", stream)
            job.tables.create_temporary_view("detected", table)
            written = sql_text(SQL / "connectors" / self.name / "written.sql")
            job.statements.add_insert("outputs", job.tables.sql_query(written))
        job.tables.use_database(former)

    def sinks(self, outputs: Mapping[str, Table]) -> Mapping[str, Table]:
        """Give what each sink takes: here one takes all, whatever stream it is for."""
        first, *others = outputs.values()
        for table in others:
            first = first.union_all(table)
        return {EVENTS_STREAM: first}

    def _create(self, job: Job, table: str, stream: str = EVENTS_STREAM) -> None:
        path = SQL / "connectors" / self.name / f"{table}.sql"
        values = {
            key: job.properties.text(EDGE_GROUP, of_stream(key, stream))
            for key in placeholders(path)
        }
        text = sql_text(path, values)
        job.tables.execute_sql(with_options(text, self.table_options(job.properties)))


def schema_of(tables: StreamTableEnvironment, table: str) -> Schema:
    """Give a registered table's schema with computed columns and watermark, for from_data_stream.

    PyFlink shows a table's physical columns only; the catalog has the whole.
    """
    environment = tables._j_tenv  # noqa: SLF001  there is no public way to the declared schema
    identifier = environment.getCatalogManager().qualifyIdentifier(
        environment.getParser().parseIdentifier(table)
    )
    found = environment.getCatalogManager().getTable(identifier).get()
    return Schema(found.getTable().getUnresolvedSchema())
