"""The process that delivers the streams to the warehouse on one machine, in Firehose's place.

`python -m cardwatch.local.firehose.program`; what it does is in `delivery`, and it does it between
the ends in `ends`. SIGTERM delivers what is buffered and ends with status 0; SIGUSR1 delivers and
loads all that is on them.
"""

import fcntl
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from cardwatch.clock import SystemClock
from cardwatch.local.errors import LocalStackError
from cardwatch.local.firehose.delivery import (
    POLL_SECONDS,
    WAITS,
    BufferingHints,
    Delivery,
    DeliveryPositions,
    UnreachableError,
)
from cardwatch.local.firehose.ends import (
    FUNCTION_SECONDS,
    BucketObjects,
    StagerFunction,
    StreamSource,
)
from cardwatch.local.firehose.status import together, write_status
from cardwatch.local.services import deploy, ministack
from cardwatch.local.stream.positions import PositionFile
from cardwatch.local.stream.shard import Stream
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
        clients = ministack.clients(settings)
        stager = clients.impatient_lambda(patience_seconds=FUNCTION_SECONDS)
        positions = settings.var / "positions"
        warehouse = Warehouse(WarehouseServer(settings.var / "postgres"))
        deliveries = [
            Delivery(
                source=StreamSource(Stream(clients.kinesis(), stream)),
                transformer=StagerFunction(stager, outputs.stager_function),
                objects=BucketObjects(clients.s3(), outputs.delivery_bucket),
                loader=warehouse,
                positions=PositionFile(positions / file, DeliveryPositions, durable=True),
                hints=BufferingHints(
                    seconds=outputs.delivery_buffer_seconds,
                    size=outputs.delivery_buffer_megabytes * 1024 * 1024,
                ),
                clock=SystemClock(),
            )
            for stream, file in (
                (outputs.stream_name, "delivery.json"),
                (outputs.scores_stream_name, "delivery-scores.json"),
            )
        ]
    except (SettingsError, LocalStackError, ValueError, BlockingIOError) as error:
        log.error("%s", error)  # noqa: TRY400 - the text says what and how to mend it
        return 1
    with lock:
        run(deliveries, settings.var)
    warehouse.close()
    return 0


def run(deliveries: Sequence[Delivery], var: Path) -> None:
    """Deliver each stream until SIGTERM or SIGINT; one that has to wait holds up no other."""
    stop, wake = threading.Event(), threading.Event()

    def end(_number: int, _frame: object) -> None:
        stop.set()
        wake.set()

    def flush(_number: int, _frame: object) -> None:
        for delivery in deliveries:
            delivery.request_flush()
        wake.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGUSR1, flush)
    failures = 0
    while not stop.is_set():
        began = time.monotonic()
        wake.clear()
        problems = [problem for delivery in deliveries if (problem := _step(delivery))]
        failures = failures + 1 if problems else 0
        if failures == 1:
            log.warning("%s: trying again until it answers", problems[0])
        write_status(var, together([d.status() for d in deliveries], next(iter(problems), None)))
        wait = WAITS.longest_wait(failures) if failures else POLL_SECONDS
        wake.wait(max(0.0, began + wait - time.monotonic()))
    for delivery in deliveries:
        try:
            delivery.finish()
        except UnreachableError as error:
            log.warning("%s: what was buffered is delivered by the next start", error)
    write_status(var, together([delivery.status() for delivery in deliveries]))


def _step(delivery: Delivery) -> str | None:
    try:
        delivery.step()
    except UnreachableError as error:
        return str(error)
    return None


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
