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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cardwatch.clock import SystemClock
from cardwatch.contract.fields import format_time
from cardwatch.local import files
from cardwatch.local.errors import LocalStackError
from cardwatch.local.eventsource.ends import (
    Bucket,
    KinesisShardReader,
    LambdaFunction,
    PositionFile,
    read_parameters,
)
from cardwatch.local.eventsource.poller import (
    MappingParameters,
    ShardPoller,
    StreamUnavailableError,
    UnsupportedMappingError,
)
from cardwatch.local.processes.supervisor import Program
from cardwatch.local.services import ministack
from cardwatch.local.services.deploy import read_outputs
from cardwatch.settings import LocalSettings, SettingsError

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

STATUS_SECONDS: Final = 0.5
"""How often the status is written, and positions that only passed records over."""
DISCOVERY_SECONDS: Final = 10.0
"""How often the stream is asked for new shards."""


def program(settings: LocalSettings) -> Program:
    """Give the event source as a program of the stack; it needs the deployed stack."""
    now = time.time()

    def ready() -> bool:
        try:
            return status_path(settings).stat().st_mtime >= now
        except OSError:
            return False

    return Program(
        name="event-source",
        command=[sys.executable, "-m", "cardwatch.local.eventsource.program"],
        environment=ministack.credentials(settings),
        ready=ready,
    )


def status_path(settings: LocalSettings) -> Path:
    """Give the status file's place."""
    return settings.var / "run" / "event-source-status.json"


class EventSource:
    """All shards of the stream, each with its own poller and thread."""

    def __init__(
        self,
        kinesis: "KinesisClient",
        parameters: MappingParameters,
        positions: PositionFile,
        make_poller: Callable[[str, KinesisShardReader], ShardPoller],
    ) -> None:
        """Serve the mapping's stream; `make_poller` gives the poller of one shard."""
        self.pollers: dict[str, ShardPoller] = {}
        self.stopping = threading.Event()
        self.crash: str | None = None
        self._kinesis = kinesis
        self._parameters = parameters
        self._positions = positions
        self._make_poller = make_poller
        self._readers: dict[str, KinesisShardReader] = {}
        self._threads: list[threading.Thread] = []

    def discover(self) -> None:
        """Start on every shard that may start: a split shard's parents come first.

        Raises StreamUnavailableError.
        """
        try:
            pages = self._kinesis.get_paginator("list_shards").paginate(
                StreamARN=self._parameters.stream_arn
            )
            shards = {shard["ShardId"]: shard for page in pages for shard in page["Shards"]}
        except (BotoCoreError, ClientError) as error:
            raise StreamUnavailableError(str(error)) from error
        for shard_id, shard in shards.items():
            parents = {shard.get("ParentShardId"), shard.get("AdjacentParentShardId")} & set(shards)
            waiting = any(p not in self.pollers or not self.pollers[p].finished for p in parents)
            if shard_id not in self.pollers and not waiting:
                self._start(shard_id)
            if shard_id in self._readers and "EndingSequenceNumber" in shard["SequenceNumberRange"]:
                self._readers[shard_id].ending = True

    def stop(self) -> None:
        """Let every shard finish what it is at, and end."""
        self.stopping.set()
        for thread in self._threads:
            thread.join()
        self._positions.flush()

    def _start(self, shard_id: str) -> None:
        reader = KinesisShardReader(
            self._kinesis,
            self._parameters.stream_arn,
            shard_id,
            after=self._positions.get(shard_id),
            since=self._positions.started if self._parameters.from_latest else None,
        )
        self._readers[shard_id] = reader
        poller = self._make_poller(shard_id, reader)
        self.pollers[shard_id] = poller
        thread = threading.Thread(target=self._run, args=(poller,), name=shard_id)
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
    session = ministack.session(settings)
    endpoint = ministack.endpoint(settings)
    # The poller retries; retries inside the client would hide outages and repeat invocations.
    once = Config(retries={"total_max_attempts": 1}, connect_timeout=2, max_pool_connections=64)
    kinesis = session.client("kinesis", endpoint_url=endpoint, config=once)
    functions = session.client("lambda", endpoint_url=endpoint, config=once)
    parameters = read_parameters(functions, outputs)
    timeout = functions.get_function_configuration(FunctionName=parameters.function_arn)["Timeout"]
    # It answers later than the function's own time only when it hangs.
    patient = once.merge(Config(read_timeout=timeout + 10))
    function = LambdaFunction(
        session.client("lambda", endpoint_url=endpoint, config=patient), parameters.function_arn
    )
    destination = (
        Bucket(session.client("s3", endpoint_url=endpoint, config=once), parameters.failure_bucket)
        if parameters.failure_bucket
        else None
    )
    described = kinesis.describe_stream_summary(StreamARN=parameters.stream_arn)
    positions = PositionFile(
        settings.var / "positions" / f"{parameters.uuid}.json",
        stream_created=described["StreamDescriptionSummary"]["StreamCreationTimestamp"],
        now=datetime.now(UTC),
    )

    def make_poller(shard_id: str, reader: KinesisShardReader) -> ShardPoller:
        return ShardPoller(
            parameters,
            shard_id,
            reader=reader,
            function=function,
            destination=destination,
            positions=positions,
            clock=SystemClock(),
        )

    source = EventSource(kinesis, parameters, positions, make_poller)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: source.stopping.set())
    discovered = -DISCOVERY_SECONDS
    while not source.stopping.is_set():
        if time.monotonic() - discovered >= DISCOVERY_SECONDS:
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
    files.replace(status_path(settings), text + "\n")


def main() -> int:
    """Run as a program; a failure is one line, and status 1."""
    try:
        run(LocalSettings.from_env())
    except (LocalStackError, SettingsError, UnsupportedMappingError) as error:
        print(f"event source: {error}", file=sys.stderr)  # noqa: T201  the program's log
        return 1
    except (BotoCoreError, ClientError) as error:
        print(f"event source: the local AWS stack does not answer: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
