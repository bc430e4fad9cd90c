"""What the dashboard is started with: `cardwatch dashboard` and a run give it, or a task on AWS."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """The one-machine stack."""

    postgres: Path
    """Data folder of the warehouse's PostgreSQL; no server need run on it."""
    status: Path
    """The run's status file; it need not be there."""


@dataclass(frozen=True, slots=True)
class RedshiftTarget:
    """Which warehouse on AWS, and whose credentials."""

    name: str
    """A cluster's identifier or a workgroup's name."""
    serverless: bool
    database: str
    secret_arn: str
    """Of a user who may read and nothing else: cardwatch_reader."""

    def arguments(self) -> dict[str, str]:
        """Give it as the Data API's calls take it."""
        target = "WorkgroupName" if self.serverless else "ClusterIdentifier"
        return {target: self.name, "Database": self.database, "SecretArn": self.secret_arn}


@dataclass(frozen=True, slots=True)
class Account:
    """A stack on AWS, in the account and region of the task."""

    redshift: RedshiftTarget
    stream: str
    application: str
    """The Flink application that finds stolen cards."""
    alarms: str
    """What the names of its alarms begin with: the stack's name and a hyphen."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where the dashboard reads, how often, and what it holds pages against."""

    source: Machine | Account
    page_objective_seconds: float
    """From payment to page, what 99 of 100 pages should stay under."""
    refresh_seconds: float
    """Between two drawings of a panel, at least."""


def read_options() -> Options:
    """Read the command line behind Streamlit's own `--`."""
    parser = argparse.ArgumentParser(prog="dashboard", allow_abbrev=False)
    parser.add_argument("--page-objective-seconds", type=float, required=True)
    parser.add_argument("--refresh-seconds", type=float, default=5.0)
    warehouse = parser.add_mutually_exclusive_group(required=True)
    warehouse.add_argument("--postgres", type=Path)
    warehouse.add_argument("--redshift-cluster")
    warehouse.add_argument("--redshift-workgroup")
    parser.add_argument("--status", type=Path)
    for name in ("redshift-database", "redshift-secret", "stream", "application", "alarms"):
        parser.add_argument(f"--{name}")
    given = parser.parse_args(sys.argv[1:])
    needed = (
        ["status"]
        if given.postgres
        else ["redshift_database", "redshift_secret", "stream", "application", "alarms"]
    )
    missing = [f"--{name.replace('_', '-')}" for name in needed if not getattr(given, name)]
    if missing:
        parser.error(f"{', '.join(missing)} must be given as well")
    source: Machine | Account
    if given.postgres:
        source = Machine(given.postgres, given.status)
    else:
        target = RedshiftTarget(
            given.redshift_cluster or given.redshift_workgroup,
            serverless=given.redshift_workgroup is not None,
            database=given.redshift_database,
            secret_arn=given.redshift_secret,
        )
        source = Account(target, given.stream, given.application, given.alarms)
    return Options(source, given.page_objective_seconds, given.refresh_seconds)
