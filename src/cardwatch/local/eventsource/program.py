"""The event source as a process: `python -m cardwatch.local.eventsource.program`.

It carries alerts from the stream to the deployed notifier, as Lambda's event source mapping does
on AWS. All parameters come from the deployed mapping (AlertMapping in template.yaml), which is off
on the emulator. What a mapping does is in `poller`, what is around it in `ends`; here are a thread
per shard and the status file.
"""

import contextlib
import json
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cardwatch import files
from cardwatch.aws.failures import FAILURES
from cardwatch.clock import SystemClock
from cardwatch.contract.fields import format_time
from cardwatch.local.errors import LocalStackError
from cardwatch.local.eventsource.ends import (
    FailureBucket,
    LambdaFunction,
    ShardPositions,
    SourcePositions,
    read_parameters,
)
from cardwatch.local.eventsource.poller import (
    MappingParameters,
    ShardPoller,
    UnsupportedMappingError,
)
from cardwatch.local.processes.run_folder import status_path
from cardwatch.local.processes.supervisor import Program
from cardwatch.local.services import ministack
from cardwatch.local.services.deploy import read_outputs
from cardwatch.local.stream.positions import PositionFile
from cardwatch.local.stream.shard import ShardCursor, Stream
from cardwatch.ports import StreamUnavailableError
from cardwatch.settings import LocalSettings, SettingsError

PROGRAM: Final = "event-source"
STATUS_SECONDS: Final = 0.5
"""How often the status is written, and positions that only passed records over."""
DISCOVERY_SECONDS: Final = 10.0
"""How often the stream is asked for new shards."""


def program(settings: LocalSettings) -> Program:
    """Give the event source as a program of the stack; it needs the deployed stack."""
    now = time.time()

    def ready() -> bool:
        try:
            return status_path(settings.var, PROGRAM).stat().st_mtime >= now
        except OSError:
            return False

    return Program(
        name=PROGRAM,
        command=[sys.executable, "-m", "cardwatch.local.eventsource.program"],
        environment=ministack.credentials(settings),
        ready=ready,
    )


class EventSource:
    """All shards of the stream, each with its own poller and thread."""

    def __init__(
        self,
        stream: Stream,
        positions: ShardPositions,
        make_poller: Callable[[str, ShardCursor], ShardPoller],
        *,
        from_latest: bool = False,
    ) -> None:
        """Serve all shards of `stream`; `make_poller` gives the poller of one.

        `from_latest`: begin with what comes after the very first start.
        """
        self.pollers: dict[str, ShardPoller] = {}
        self.stopping = threading.Event()
        self.crash: str | None = None
        self._stream = stream
        self._positions = positions
        self._make_poller = make_poller
        self._since = positions.started if from_latest else None
        self._threads: list[threading.Thread] = []
        self._ended: set[str] = set()

    def discover(self) -> None:
        """Start on every shard that may start: a split shard's parents come first.

        Raises StreamUnavailableError.
        """
        for shard in self._stream.shards():
            waiting = any(
                parent not in self.pollers or not self.pollers[parent].finished
                for parent in shard.parents
            )
            if shard.shard_id not in self.pollers and not waiting:
                self._start(shard.shard_id)

    def take_ended(self) -> bool:
        """Say whether a shard was read to its end since this was asked last."""
        ended = {shard_id for shard_id, poller in self.pollers.items() if poller.finished}
        new, self._ended = ended - self._ended, ended
        return bool(new)

    def stop(self) -> None:
        """Let every shard finish what it is at, and end."""
        self.stopping.set()
        for thread in self._threads:
            thread.join()
        self._positions.flush()

    def _start(self, shard_id: str) -> None:
        after = self._positions.get(shard_id)
        cursor = ShardCursor(self._stream, shard_id, after=after, since=self._since)
        poller = self._make_poller(shard_id, cursor)
        self.pollers[shard_id] = poller
        self._serve(poller)

    def _serve(self, poller: ShardPoller) -> None:
        thread = threading.Thread(target=self._run, args=(poller,), name=poller.shard_id)
        self._threads.append(thread)
        thread.start()

    def _run(self, poller: ShardPoller) -> None:
        try:
            while not self.stopping.is_set() and not poller.finished:
                self.stopping.wait(poller.step())
        except BaseException:  # noqa: BLE001  a shard that silently stood still would hide alerts
            self.crash = traceback.format_exc()
            self.stopping.set()


def status(parameters: MappingParameters, pollers: Mapping[str, ShardPoller]) -> dict[str, Any]:
    """Give the status of all shards, and the sums that people ask for first."""
    shards = {shard_id: poller.snapshot() for shard_id, poller in pollers.items()}
    sums = (
        "records_seen",
        "records_matched",
        "records_done",
        "records_discarded",
        "invocations",
        "failed_invocations",
        "unavailable",
    )
    return {
        "updated_at": format_time(datetime.now(UTC)),
        "mapping": parameters.uuid,
        "function": parameters.function_arn,
        **{name: sum(shard[name] for shard in shards.values()) for name in sums},
        "iterator_age_ms": max((s["iterator_age_ms"] for s in shards.values()), default=0),
        "shards": shards,
    }


def run(settings: LocalSettings) -> None:
    """Serve until SIGTERM or SIGINT; raises LocalStackError or UnsupportedMappingError."""
    outputs = read_outputs(settings)
    clients = ministack.clients(settings)
    parameters = read_parameters(clients.impatient_lambda(), outputs)
    configured = clients.impatient_lambda().get_function_configuration(
        FunctionName=parameters.function_arn
    )
    # The function answers later than its own time only when it hangs.
    function = LambdaFunction(
        clients.impatient_lambda(patience_seconds=configured["Timeout"] + 10),
        parameters.function_arn,
    )
    destination = (
        FailureBucket(clients.s3(), parameters.failure_bucket)
        if parameters.failure_bucket
        else None
    )
    stream = Stream(clients.kinesis(), outputs.stream_name)
    file = PositionFile(settings.var / "positions" / f"{parameters.uuid}.json", SourcePositions)
    positions = ShardPositions(file, stream=stream.identity(), now=datetime.now(UTC))

    def make_poller(shard_id: str, reader: ShardCursor) -> ShardPoller:
        return ShardPoller(
            parameters,
            shard_id,
            reader=reader,
            function=function,
            destination=destination,
            positions=positions,
            clock=SystemClock(),
        )

    source = EventSource(stream, positions, make_poller, from_latest=parameters.from_latest)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: source.stopping.set())
    discovered = -DISCOVERY_SECONDS
    while not source.stopping.is_set():
        if source.take_ended() or time.monotonic() - discovered >= DISCOVERY_SECONDS:
            # The next round tries again, which is all there is to do.
            with contextlib.suppress(StreamUnavailableError):
                source.discover()
                discovered = time.monotonic()
        positions.flush()
        write_status(settings, parameters, source)
        source.stopping.wait(STATUS_SECONDS)
    source.stop()
    write_status(settings, parameters, source)
    if source.crash is not None:
        raise RuntimeError(source.crash)


def write_status(
    settings: LocalSettings, parameters: MappingParameters, source: EventSource
) -> None:
    """Write the status file."""
    text = json.dumps(status(parameters, source.pollers), indent=1)
    files.replace(status_path(settings.var, PROGRAM), text + "\n")


def main() -> int:
    """Run as a program; a failure is one line, and status 1."""
    try:
        run(LocalSettings.from_env())
    except (LocalStackError, SettingsError, UnsupportedMappingError) as error:
        print(f"event source: {error}", file=sys.stderr)  # noqa: T201  the program's log
        return 1
    except (*FAILURES, StreamUnavailableError) as error:
        print(f"event source: the local AWS stack does not answer: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
