"""Writes what the simulator would have sent to a file, for `cardwatch replay`.

    .venv/bin/python tools/record_events.py --count 1000000 --rate 20 --out var/events.jsonl.gz

The same arguments give the same bytes.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from cardwatch.cards.card_file import CardFileError
from cardwatch.cards.tokenizer import Tokenizer, read_tokenized_cards
from cardwatch.simulation.faults import parse_fault_profile
from cardwatch.simulation.recording import write_events

FIXED_KEY = bytes(range(32))
"""Not a secret: recordings hold test cards only and must be the same everywhere."""


def main() -> int:
    """Write a recording; the exit status is 1 when an argument is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1_000_000, help="payments (default 1000000)")
    parser.add_argument("--rate", type=float, default=20.0, help="payments a second (default 20)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--faults", default="none", help="fault profile, as for the simulator")
    parser.add_argument("--cards", type=Path, default=Path("data/cards.txt"), help="card file")
    parser.add_argument("--out", type=Path, required=True, help=".jsonl or .jsonl.gz")
    asked = parser.parse_args()
    began = time.monotonic()
    try:
        cards = read_tokenized_cards(asked.cards, Tokenizer(FIXED_KEY), now=datetime.now(UTC))
        recording = write_events(
            asked.out,
            cards,
            count=asked.count,
            payments_per_second=asked.rate,
            seed=asked.seed,
            faults=parse_fault_profile(asked.faults),
        )
    except (CardFileError, ValueError, OSError) as error:
        print(f"record_events: {error}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - began
    print(f"{asked.out}: {recording.lines:,} events in {recording.seconds:,.0f} s of event time, ")
    print(f"written in {seconds:.0f} s, {recording.lines / seconds:,.0f} a second")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
