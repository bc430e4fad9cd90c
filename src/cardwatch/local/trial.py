"""Tries rules on past payments: one replay, with the rules in force and the tried ones in shadow.

So both judge the very same payments. What the input has of RULE events is left out.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cardwatch.contract.fields import parse_time
from cardwatch.contract.streams import EARLIEST_EVENT_TIME
from cardwatch.local.replay import ReplayError, replay
from cardwatch.local.replay_input import InputError, events_of, one_event_per_line
from cardwatch.local.services.flink import RISK_DESK
from cardwatch.rules.publication import Publication

DAY: Final = 86_400
LEAST_SECONDS: Final = 60
"""Of event time, for a rate that means something."""


@dataclass(frozen=True, slots=True)
class RuleTrial:
    """What came of one rule."""

    rule: str
    fired: int
    """Alerts by the tried rules."""
    per_day: float | None
    """The same per day of event time; None where the payments are of less than a minute."""
    in_force: int
    """Alerts by the rules in force."""
    both: int
    """Of those that the tried rules fired, what the rules in force alert on as well: of the same
    rule and entity, with a payment in common."""
    missed: int
    """Of those by the rules in force, what the tried rules do not alert on."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of all rules, and over how much of event time."""

    payments: int
    seconds: float
    rules: tuple[RuleTrial, ...]


def try_rules(
    tried: Publication,
    in_force: Publication,
    input_path: Path,
    out_dir: Path,
    *,
    progress: Callable[[str], None],
) -> Trial:
    """Replay a file or folder of envelopes with both; raises ReplayError.

    `out_dir` gets what a replay writes; alerts of the tried rules say `"paging":"shadow"` there.
    Whatever was published before, both hold from before the first payment on.
    """
    settings = {
        rule: its.model_copy(update={"paging": "shadow"}) for rule, its in tried.settings.items()
    }
    # Ids have the version in them: one of each keeps the two apart.
    version = max(tried.version, in_force.version + 1)
    start = EARLIEST_EVENT_TIME
    shadow = Publication(version, start + timedelta(milliseconds=1), settings)
    known = Publication(in_force.version, start, in_force.settings)
    with tempfile.TemporaryDirectory(prefix="cardwatch-try-") as folder:
        work = Path(folder)
        try:
            events = one_event_per_line(input_path, work)
        except InputError as error:
            raise ReplayError(str(error)) from None
        mixed = work / "with_rules.jsonl"
        payments, seconds = _write(mixed, known.to_bytes() + shadow.to_bytes(), events)
        replay(mixed, out_dir, progress=progress, application=RISK_DESK)
    with (out_dir / "rule_alerts.jsonl").open(encoding="utf-8") as lines:
        alerts = [json.loads(line)["event_json_data"] for line in lines]
    return Trial(payments, seconds, tuple(_compared(alerts, tried.settings, seconds)))


def _write(path: Path, rules: bytes, events: Path) -> tuple[int, float]:
    """Write the rules and then the events but for theirs; give the payments and their seconds."""
    payments = 0
    first: datetime | None = None
    last: datetime | None = None
    with path.open("wb") as out:
        out.write(rules)
        for line in events_of(events):
            kind, time = _kind_and_time(line)
            if kind == "RULE":
                continue
            out.write(line + b"\n")
            if kind == "PAYMENT_EVENT" and time is not None:
                payments += 1
                first, last = min(first or time, time), max(last or time, time)
    return payments, (last - first).total_seconds() if first and last else 0.0


def _kind_and_time(line: bytes) -> tuple[str | None, datetime | None]:
    """Give an event's type and time, as far as it says them."""
    kind, time = _KIND.search(line), _TIME.search(line)
    try:
        return kind and kind[1].decode(), parse_time(time[1].decode()) if time else None
    except ValueError:
        return kind and kind[1].decode(), None


# The first of each: producers may write their fields in any order, and data has none of that name.
_KIND: Final = re.compile(rb'"type"\s*:\s*"([A-Z_]+)"')
_TIME: Final = re.compile(rb'"event_date_origin"\s*:\s*"([^"]{1,40})"')


def _compared(
    alerts: Sequence[Mapping[str, Any]], rules: Mapping[str, object], seconds: float
) -> Iterator[RuleTrial]:
    for rule in rules:
        of_it = [alert for alert in alerts if alert["rule"] == rule]
        tried = [alert for alert in of_it if alert["paging"] == "shadow"]
        in_force = [alert for alert in of_it if alert["paging"] != "shadow"]
        known = {place for alert in in_force for place in _places(alert)}
        new = {place for alert in tried for place in _places(alert)}
        yield RuleTrial(
            rule=rule,
            fired=len(tried),
            per_day=len(tried) * DAY / seconds if seconds >= LEAST_SECONDS else None,
            in_force=len(in_force),
            both=sum(not known.isdisjoint(_places(alert)) for alert in tried),
            missed=sum(new.isdisjoint(_places(alert)) for alert in in_force),
        )


def _places(alert: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Give what an alert is about: its entity with each payment that it names."""
    return {(alert["entity_id"], payment) for payment in alert["payment_ids"]}
