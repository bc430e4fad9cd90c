"""The connector edge: SQL alone, and the official connector's jar, which is no part of Flink."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edges import SqlEdge
from properties import MANAGED_FLINK_FILE, Properties, PropertyError

LIB = Path(__file__).resolve().parent / "lib"
JAR = "flink-sql-connector-aws-kinesis-streams"
VERSION = "6.0.0-2.0"
"""As in pom.xml."""


@dataclass(frozen=True)
class ConnectorEdge(SqlEdge):
    """Reads and writes the stream through sql/connectors/kinesis."""

    name: str = "kinesis"
    lib: Path = LIB

    def options(self, properties: Properties) -> Mapping[str, str]:
        """Put the jar on the job's class path; raises PropertyError when it is not there.

        On Managed Flink the application's own settings name the jar (`jarfile`).
        """
        if properties.source == str(MANAGED_FLINK_FILE):
            return {}
        jars = sorted(self.lib.glob(f"{JAR}-*.jar"))
        if len(jars) != 1:
            found = "is not there" if not jars else f"is there {len(jars)} times"
            msg = (
                f"the Kinesis connector's jar {found} ({self.lib}/{JAR}-{VERSION}.jar): "
                "fetch it with `mvn -f flink_app/pom.xml package`, or use --edge local"
            )
            raise PropertyError(msg)
        return {"pipeline.jars": jars[0].as_uri()}
