"""The process that delivers the stream to the warehouse on one machine, in Firehose's place.

`python -m cardwatch.local.delivery`; what it does is in `firehose`, and it does it between the ends
in `delivery_ends`. SIGTERM delivers what is buffered and ends; SIGUSR1 delivers and loads all that
is on the stream.
"""

import fcntl
import logging
import sys
from pathlib import Path
from typing import IO, Final

from cardwatch.clock import SystemClock
from cardwatch.local import deploy, ministack
from cardwatch.local.delivery_ends import BucketObjects, KinesisSource, StagerFunction
from cardwatch.local.firehose import BufferingHints, Delivery, PositionFile, run
from cardwatch.local.supervisor import LocalStackError
from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.settings import LocalSettings, SettingsError

log: Final = logging.getLogger("cardwatch.delivery")


def main() -> int:
    """Run delivery for the deployed stack; the exit status is 1 where it cannot begin."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        settings = LocalSettings.from_env()
        outputs = deploy.read_outputs(settings)
        lock = _take_lock(settings.var / "positions" / "delivery.lock")
        session, endpoint = ministack.session(settings), ministack.endpoint(settings)
        warehouse = Warehouse(WarehouseServer(settings.var / "postgres"))
        delivery = Delivery(
            source=KinesisSource(session, endpoint, outputs.stream_name),
            transformer=StagerFunction(session, endpoint, outputs.stager_function),
            objects=BucketObjects(session, endpoint, outputs.delivery_bucket),
            loader=warehouse,
            positions=PositionFile(settings.var / "positions" / "delivery.json"),
            hints=BufferingHints(
                seconds=outputs.delivery_buffer_seconds,
                size=outputs.delivery_buffer_megabytes * 1024 * 1024,
            ),
            clock=SystemClock(),
        )
    except (SettingsError, LocalStackError, ValueError, BlockingIOError) as error:
        log.error("%s", error)  # noqa: TRY400 - the text says what and how to mend it
        return 1
    with lock:
        run(delivery, settings.var)
    warehouse.close()
    return 0


def _take_lock(path: Path) -> IO[bytes]:
    """Hold the file while it is open; raises BlockingIOError where another process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        msg = f"another delivery process holds {path}: stop it with `cardwatch down`"
        raise BlockingIOError(msg) from None
    return file


if __name__ == "__main__":
    raise SystemExit(main())
