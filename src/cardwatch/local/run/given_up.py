"""What the stand-ins gave up and what they wait for, from the status files that they write."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cardwatch.local.processes.run_folder import status_path

AGE_SECONDS: Final = 60
"""An alert that waits this long for the notifier is a trouble; its page is due in seconds."""
SILENT_SECONDS: Final = 30
"""A program that says nothing for so long hangs, whatever it said last."""

_EVENT_SOURCE: Final = {"records_discarded": "alerts given up by the event source, in its bucket"}
_DELIVERY: Final = {
    "objects_bad": "objects refused by the warehouse, in staging.bad_objects",
    "records_dropped": "records dropped by the stager",
}


class GivenUp:
    """Adds up over restarts, with which a program begins to count anew."""

    def __init__(self, var: Path) -> None:
        """Read the status files of the run in `var`."""
        self._var = var
        self._before: dict[str, int] = {}
        self._last: dict[str, int] = {}

    @property
    def counts(self) -> Mapping[str, int]:
        """Give how often each thing was given up, also where it never was."""
        names = (*_EVENT_SOURCE.values(), *_DELIVERY.values())
        return {name: self._before.get(name, 0) + self._last.get(name, 0) for name in names}

    def read(self) -> tuple[str, ...]:
        """Read the files; gives what the programs wait for, in words."""
        troubles: list[str] = []
        source = _facts(status_path(self._var, "event-source"))
        if source is not None:
            self._count(source, _EVENT_SOURCE)
            troubles += _silence("event source", source)
            age = int(source.get("iterator_age_ms", 0)) // 1000
            if age >= AGE_SECONDS:
                errors = [s.get("last_error") for s in source.get("shards", {}).values()]
                why = next(filter(None, errors), "it does not say why")
                troubles.append(f"event source: the oldest alert waits for {age} s ({why})")
        delivered = _facts(status_path(self._var, "delivery"))
        if delivered is not None:
            self._count(delivered, _DELIVERY)
            troubles += _silence("delivery", delivered)
            if delivered.get("problem"):
                waiting = f"{delivered.get('objects_waiting', 0)} objects wait"
                troubles.append(f"delivery: {delivered['problem']}; {waiting}")
        return tuple(troubles)

    def _count(self, facts: Mapping[str, Any], names: Mapping[str, str]) -> None:
        for key, name in names.items():
            value, last = int(facts.get(key, 0)), self._last.get(name, 0)
            if value < last:
                self._before[name] = self._before.get(name, 0) + last
            self._last[name] = value


def _facts(path: Path) -> dict[str, Any] | None:
    """Read a status file; None before its program wrote one."""
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return facts


def _silence(who: str, facts: Mapping[str, Any]) -> list[str]:
    updated = datetime.fromisoformat(str(facts["updated_at"]))
    silent = (datetime.now(UTC) - updated).total_seconds()
    return [f"{who}: no news for {silent:.0f} s"] if silent > SILENT_SECONDS else []
