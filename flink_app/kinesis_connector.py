"""The connector edge: SQL alone, and the official connector's jar, which is no part of Flink."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyflink.table import Table

from edges import SqlEdge
from properties import MANAGED_FLINK_FILE, Properties, PropertyError

LIB = Path(__file__).resolve().parent / "lib"
JAR = "flink-sql-connector-aws-kinesis-streams-6.0.0-2.0.jar"
"""As in pom.xml."""
OPTIONS_GROUP = "cardwatch.connector"
"""Options of both tables besides those in the SQL: how to reach a Kinesis that is not AWS's."""


@dataclass(frozen=True)
class ConnectorEdge(SqlEdge):
    """Reads and writes the stream through sql/connectors/kinesis."""

    name: str = "kinesis"
    lib: Path = LIB

    def options(self, properties: Properties) -> Mapping[str, str]:
        """Put the jars in lib/ on the job's class path; raises PropertyError when there are none.

        On Managed Flink the application's own settings name the jar (`jarfile`).
        """
        if properties.source == str(MANAGED_FLINK_FILE):
            return {}
        jars = sorted(self.lib.glob("*.jar"))
        if not jars:
            msg = (
                f"{self.lib} holds no connector jar: fetch {JAR} with `make connector`, or put it "
                "there yourself; --edge local needs none"
            )
            raise PropertyError(msg)
        return {"pipeline.jars": ";".join(jar.as_uri() for jar in jars)}

    def sinks(self, outputs: Mapping[str, Table]) -> Mapping[str, Table]:
        """Give each stream a sink of its own."""
        return outputs

    def table_options(self, properties: Properties) -> Mapping[str, str]:
        """Give what the group cardwatch.connector adds to the tables' options."""
        return properties.groups.get(OPTIONS_GROUP, {})
