"""The Kinesis event source of the one-machine stack: `python -m cardwatch.local.event_source`.

It carries alerts from the stream to the deployed notifier, as Lambda's event source mapping does
on AWS. All parameters come from the deployed mapping (AlertMapping in template.yaml), which is off
on the emulator. What a mapping does is in `shard_poller`; here are the stream, the function and the
bucket behind it, the positions on disk, a thread per shard, and the status file.
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
from cardwatch.local import ministack
from cardwatch.local.deploy import StackOutputs, read_outputs
from cardwatch.local.shard_poller import (
    Answer,
    DestinationUnavailableError,
    FunctionUnavailableError,
    MappingParameters,
    Page,
    ShardPoller,
    StreamRecord,
    StreamUnavailableError,
    UnsupportedMappingError,
    read_patterns,
)
from cardwatch.local.supervisor import LocalStackError, Program
from cardwatch.settings import LocalSettings, SettingsError

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

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
        command=[sys.executable, "-m", "cardwatch.local.event_source"],
        environment=ministack.credentials(settings),
        ready=ready,
    )


def status_path(settings: LocalSettings) -> Path:
    """Give the status file's place."""
    return settings.var / "run" / "event-source-status.json"


def read_parameters(client: "LambdaClient", outputs: StackOutputs) -> MappingParameters:
    """Read the deployed mapping of the notifier; raises LocalStackError when there is not one."""
    found = client.list_event_source_mappings(
        FunctionName=outputs.notifier_function, EventSourceArn=outputs.stream_arn
    )["EventSourceMappings"]
    if len(found) != 1:
        msg = f"expected one event source mapping of {outputs.notifier_function}, not {len(found)}"
        raise LocalStackError(msg)
    role = client.get_function_configuration(FunctionName=outputs.notifier_function)["Role"]
    return parameters_from(found[0], role_arn=role, region=client.meta.region_name)


def parameters_from(mapping: Mapping[str, Any], *, role_arn: str, region: str) -> MappingParameters:
    """Take the parameters from Lambda's description of a mapping.

    Raises UnsupportedMappingError for what `shard_poller` does not do.
    """
    for name, harmless in (
        ("ParallelizationFactor", 1),
        ("TumblingWindowInSeconds", 0),
        ("StartingPositionTimestamp", None),
    ):
        if mapping.get(name, harmless) != harmless:
            msg = f"{name} of the event source mapping is not supported on one machine"
            raise UnsupportedMappingError(msg)
    retries = int(mapping.get("MaximumRetryAttempts", -1))
    age = int(mapping.get("MaximumRecordAgeInSeconds", -1))
    filters = mapping.get("FilterCriteria", {}).get("Filters", [])
    return MappingParameters(
        uuid=mapping["UUID"],
        stream_arn=mapping["EventSourceArn"],
        function_arn=mapping["FunctionArn"],
        role_arn=role_arn,
        region=region,
        batch_size=int(mapping.get("BatchSize", 100)),
        batching_window_seconds=float(mapping.get("MaximumBatchingWindowInSeconds", 0)),
        patterns=read_patterns([item["Pattern"] for item in filters]),
        report_batch_item_failures="ReportBatchItemFailures"
        in mapping.get("FunctionResponseTypes", []),
        bisect_batch_on_function_error=bool(mapping.get("BisectBatchOnFunctionError", False)),
        maximum_retry_attempts=None if retries < 0 else retries,
        maximum_record_age_seconds=None if age < 0 else age,
        from_latest=mapping["StartingPosition"] == "LATEST",
        failure_bucket=_bucket(mapping),
    )


def _bucket(mapping: Mapping[str, Any]) -> str | None:
    destination = mapping.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if destination is None:
        return None
    prefix = "arn:aws:s3:::"
    if not destination.startswith(prefix):
        msg = f"only a bucket is supported as failure destination: {destination}"
        raise UnsupportedMappingError(msg)
    return str(destination.removeprefix(prefix))


class PositionFile:
    """How far each shard is done, in one file that is replaced whole.

    A position belongs to one stream: after the stream was made anew, all start again.
    """

    def __init__(self, path: Path, *, stream_created: datetime, now: datetime) -> None:
        """Read the file if it is of this stream, else start it."""
        self._path = path
        self._lock = threading.Lock()
        self._stream = stream_created.isoformat()
        self._shards: dict[str, str] = {}
        self._started = now
        self._dirty = False
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(path.read_text())
            if kept["stream_created"] == self._stream:
                self._started = datetime.fromisoformat(kept["started"])
                self._shards = dict(kept["shards"])
        self._write()

    @property
    def started(self) -> datetime:
        """Give the time of the very first start on this stream."""
        return self._started

    def get(self, shard_id: str) -> str | None:
        """Give the last sequence number that is done, or None on a new shard."""
        with self._lock:
            return self._shards.get(shard_id)

    def save(self, shard_id: str, sequence_number: str, *, at_once: bool) -> None:
        """Remember a position; without `at_once` it reaches the disk with the next flush."""
        with self._lock:
            self._shards[shard_id] = sequence_number
            self._dirty = True
            if at_once:
                self._write()

    def flush(self) -> None:
        """Write what is not on disk yet."""
        with self._lock:
            if self._dirty:
                self._write()

    def _write(self) -> None:
        facts = {
            "stream_created": self._stream,
            "started": self._started.isoformat(),
            "shards": self._shards,
        }
        replace_file(self._path, json.dumps(facts, indent=1) + "\n")
        self._dirty = False


def replace_file(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, sees the old or the new one and nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


class KinesisShardReader:
    """A shard through the Kinesis API; it goes on after the last record it gave."""

    def __init__(
        self,
        client: "KinesisClient",
        stream_arn: str,
        shard_id: str,
        *,
        after: str | None,
        since: datetime | None,
    ) -> None:
        """Start behind the record `after`; without one at `since`, without that at the oldest."""
        self.ending = False
        """The shard takes no more records; set by whoever looks at the stream's shards."""
        self._client = client
        self._stream_arn = stream_arn
        self._shard_id = shard_id
        self._after = after
        self._since = since
        self._iterator: str | None = None

    def read(self, limit: int) -> Page:
        """Give the next records; raises StreamUnavailableError."""
        try:
            if self._iterator is None:
                self._iterator = self._open()
            response = self._client.get_records(ShardIterator=self._iterator, Limit=limit)
        except (BotoCoreError, ClientError) as error:
            # An iterator lives for five minutes and a restarted emulator knows none of them.
            self._iterator = None
            raise StreamUnavailableError(str(error)) from error
        following: str | None = response.get("NextShardIterator")
        self._iterator = following
        records = [
            StreamRecord(
                sequence_number=record["SequenceNumber"],
                partition_key=record["PartitionKey"],
                data=record["Data"],
                arrived=record["ApproximateArrivalTimestamp"].astimezone(UTC),
            )
            for record in response["Records"]
        ]
        if records:
            self._after = records[-1].sequence_number
        behind = response.get("MillisBehindLatest", 0)
        # AWS ends a closed shard without a next iterator; the emulator goes on for ever.
        at_end = following is None or (self.ending and not records and behind == 0)
        return Page(records=records, behind_ms=behind, closed=at_end)

    def _open(self) -> str:
        where: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if self._after is not None:
            where = {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "StartingSequenceNumber": self._after,
            }
        elif self._since is not None:
            where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": self._since}
        return self._client.get_shard_iterator(
            StreamARN=self._stream_arn, ShardId=self._shard_id, **where
        )["ShardIterator"]


class LambdaFunction:
    """The deployed function through the Lambda API."""

    def __init__(self, client: "LambdaClient", function_arn: str) -> None:
        """Call `function_arn`; the client must not retry by itself, or calls would double."""
        self._client = client
        self._function_arn = function_arn

    def invoke(self, event: bytes) -> Answer:
        """Call it and wait; raises FunctionUnavailableError."""
        try:
            response = self._client.invoke(FunctionName=self._function_arn, Payload=event)
            payload = response["Payload"].read()
        except (BotoCoreError, ClientError) as error:
            raise FunctionUnavailableError(str(error)) from error
        return Answer(
            payload=payload,
            error=response.get("FunctionError"),
            request_id=response["ResponseMetadata"].get("RequestId", ""),
        )


class Bucket:
    """The failure destination."""

    def __init__(self, client: "S3Client", name: str) -> None:
        """Put into bucket `name`."""
        self._client = client
        self._name = name

    def put(self, key: str, body: bytes) -> None:
        """Keep an object; raises DestinationUnavailableError."""
        try:
            self._client.put_object(Bucket=self._name, Key=key, Body=body)
        except (BotoCoreError, ClientError) as error:
            raise DestinationUnavailableError(str(error)) from error


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
    replace_file(status_path(settings), text + "\n")


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
