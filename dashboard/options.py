"""What the dashboard is started with; `cardwatch dashboard` and a run give it."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """Where the dashboard reads, and what it holds pages against."""

    postgres: Path
    """Data folder of the warehouse's PostgreSQL; no server need run on it."""
    status: Path
    """The run's status file; it need not be there."""
    page_objective_seconds: float
    """From payment to page, what 99 of 100 pages should stay under."""


def read_options() -> Options:
    """Read the command line behind Streamlit's own `--`."""
    parser = argparse.ArgumentParser(prog="dashboard", allow_abbrev=False)
    parser.add_argument("--postgres", type=Path, required=True)
    parser.add_argument("--status", type=Path, required=True)
    parser.add_argument("--page-objective-seconds", type=float, required=True)
    return Options(**vars(parser.parse_args(sys.argv[1:])))
