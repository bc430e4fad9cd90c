import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from cardwatch.contract.fields import format_time
from cardwatch.local.processes.run_folder import status_path
from cardwatch.local.run.gauges import Gauges
from cardwatch.local.services.flink_rest import FlinkHealth
from cardwatch.local.warehouse import WarehouseServer
from cardwatch.settings import LocalSettings


def unasked(*_: object) -> NoReturn:
    msg = "nothing is there to be asked"
    raise AssertionError(msg)


def gauges_of(
    var: Path,
    started: Callable[[], bool],
    job_health: Callable[[], FlinkHealth | None] = unasked,
) -> Gauges:
    return Gauges(
        LocalSettings(var=var),
        WarehouseServer(var / "postgres"),
        started=started,
        outputs=unasked,
        job_health=job_health,
        why_job_failed=unasked,
    )


def test_nothing_is_read_before_the_start_and_the_gauges_can_be_stopped(tmp_path: Path) -> None:
    asked = threading.Event()

    def started() -> bool:
        asked.set()
        return False

    gauges = gauges_of(tmp_path, started)
    gauges.start()
    assert asked.wait(10)
    gauges.stop()
    assert not gauges.is_alive()
    assert (gauges.troubles(), gauges.job) == ((), "not submitted")


def test_what_the_stand_ins_gave_up_and_wait_for_is_read_from_the_run_s_own_folder(
    tmp_path: Path,
) -> None:
    gauges = gauges_of(tmp_path, lambda: True)
    assert set(gauges.read_given_up().values()) == {0}
    facts = {"updated_at": format_time(datetime.now(UTC))}
    source = {**facts, "records_discarded": 2, "iterator_age_ms": 61_000}
    delivered = {**facts, "objects_bad": 3, "records_dropped": 5, "problem": "the bucket is away"}
    for name, said in (("event-source", source), ("delivery", delivered)):
        path = status_path(tmp_path, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(said))
    assert sorted(gauges.read_given_up().values()) == [2, 3, 5]
    assert gauges.given_up == gauges.read_given_up()
    assert [trouble.partition(":")[0] for trouble in gauges.troubles()] == [
        "event source",
        "delivery",
    ]


def test_what_event_time_has_passed_it_has_passed_while_the_job_does_not_answer(
    tmp_path: Path,
) -> None:
    passed = datetime(2026, 11, 27, 6, tzinfo=UTC)
    health = FlinkHealth("job", "RUNNING", 0, 3, 0, passed, 1.5)
    unknown = replace(health, watermark=None, watermark_lag_seconds=None)
    answers = iter([health, None, unknown])
    gauges = gauges_of(tmp_path, lambda: True, lambda: next(answers))
    for lag in (1.5, None, None):
        gauges._read_job()  # noqa: SLF001  at its own pace it is read by the thread
        assert (gauges.watermark, gauges.watermark_lag) == (passed, lag)
