"""The Flink application: runs detections over the event stream.

Which ones is its properties' to say: `application` in the group cardwatch.detection names those of
stolen cards or of the risk desk, which are two applications of one package, so that neither can
hold back the other. On Managed Service for Apache Flink it runs without arguments; elsewhere:

    flink run -py main.py --edge local --properties properties.json
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline import EDGES, build, job_name
from properties import MANAGED_FLINK_FILE, Properties, PropertyError
from queries import QueryError


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the job and submit it; a wrong property or SQL file ends the program with one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", choices=sorted(EDGES), default="connector")
    parser.add_argument("--properties", type=Path, help="JSON file of property groups")
    # Managed Flink may pass arguments of its own; elsewhere an unknown one is a slip of the pen.
    options, unknown = parser.parse_known_args(arguments)
    if unknown and options.properties is not None:
        parser.error(f"unknown arguments: {' '.join(unknown)}")
    managed = options.properties is None
    try:
        properties = Properties.read(MANAGED_FLINK_FILE if managed else options.properties)
        job = build(EDGES[options.edge](), properties, managed=managed)
    except (PropertyError, QueryError) as error:
        sys.exit(f"cardwatch: {error}")
    job.env.execute(job_name(properties))


if __name__ == "__main__":
    main()
