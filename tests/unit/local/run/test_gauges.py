import threading
from pathlib import Path
from typing import NoReturn

from cardwatch.local.run.gauges import Gauges
from cardwatch.local.warehouse import WarehouseServer
from cardwatch.settings import LocalSettings


def unasked(*_: object) -> NoReturn:
    msg = "nothing is there to be asked"
    raise AssertionError(msg)


def test_nothing_is_read_before_the_start_and_the_gauges_can_be_stopped(tmp_path: Path) -> None:
    asked = threading.Event()

    def started() -> bool:
        asked.set()
        return False

    gauges = Gauges(
        LocalSettings(var=tmp_path),
        WarehouseServer(tmp_path / "postgres"),
        started=started,
        outputs=unasked,
        job_health=unasked,
        why_job_failed=unasked,
    )
    gauges.start()
    assert asked.wait(10)
    gauges.stop()
    assert not gauges.is_alive()
    assert (gauges.troubles(), gauges.job) == ((), "not submitted")
