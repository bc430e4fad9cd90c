import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cardwatch.contract.fields import format_time
from cardwatch.local.processes.run_folder import status_path
from cardwatch.local.run.given_up import GivenUp

REFUSED = "objects refused by the warehouse, in staging.bad_objects"
DISCARDED = "alerts given up by the event source, in its bucket"


def say(var: Path, program: str, *, ago: float = 0.0, **facts: object) -> None:
    path = status_path(var, program)
    path.parent.mkdir(parents=True, exist_ok=True)
    updated = format_time(datetime.now(UTC) - timedelta(seconds=ago))
    path.write_text(json.dumps({"updated_at": updated, **facts}))


def test_nothing_is_given_up_while_nobody_says_so(tmp_path: Path) -> None:
    given_up = GivenUp(tmp_path)
    assert given_up.read() == ()
    say(tmp_path, "event-source", records_discarded=0, iterator_age_ms=900, shards={})
    say(tmp_path, "delivery", objects_bad=0, records_dropped=0, problem=None)
    assert given_up.read() == ()
    assert set(given_up.counts.values()) == {0}


def test_what_is_given_up_is_added_up_over_restarts_of_its_program(tmp_path: Path) -> None:
    given_up = GivenUp(tmp_path)
    for bad in (1, 3, 0, 2):
        say(tmp_path, "delivery", objects_bad=bad)
        given_up.read()
    say(tmp_path, "event-source", records_discarded=4)
    given_up.read()
    assert given_up.counts[REFUSED] == 5
    assert given_up.counts[DISCARDED] == 4


def test_alerts_that_wait_are_a_trouble_with_the_reason(tmp_path: Path) -> None:
    shards = {"a": {"last_error": None}, "b": {"last_error": "function: Unhandled"}}
    say(tmp_path, "event-source", iterator_age_ms=61_500, shards=shards)
    (trouble,) = GivenUp(tmp_path).read()
    assert "61 s" in trouble
    assert "function: Unhandled" in trouble


def test_a_warehouse_that_does_not_answer_is_a_trouble_with_what_waits(tmp_path: Path) -> None:
    say(tmp_path, "delivery", problem="PostgreSQL does not answer", objects_waiting=7)
    (trouble,) = GivenUp(tmp_path).read()
    assert "PostgreSQL does not answer" in trouble
    assert "7 objects" in trouble


def test_a_program_that_says_nothing_any_more_is_a_trouble(tmp_path: Path) -> None:
    say(tmp_path, "delivery", ago=45)
    say(tmp_path, "event-source", ago=5)
    (trouble,) = GivenUp(tmp_path).read()
    assert trouble.startswith("delivery: no news for 4")
