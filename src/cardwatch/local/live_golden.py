"""Plays golden scenarios on the running stack (golden/live.py): this is its way to it.

Records go onto its stream, pages are what its pages consumer received, and for as long as it plays
the notifier has the scenarios' settings; afterwards its own again.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import psutil

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.aws.failures import FAILURES, reason
from cardwatch.contract.canary import is_canary
from cardwatch.contract.streams import RejectedRecord, read_event
from cardwatch.golden.live import (
    HOUR,
    LiveStackError,
    OnStream,
    PlayedLive,
    Received,
    Said,
    play_round,
    rounds,
    why_not_live,
)
from cardwatch.golden.scenario import Paging, Scenario
from cardwatch.golden.script import Record
from cardwatch.local.errors import LocalStackError
from cardwatch.local.processes.run_folder import RunFolder
from cardwatch.local.services import ministack
from cardwatch.local.services.deploy import StackOutputs, read_outputs
from cardwatch.local.services.flink import TASK_MANAGER
from cardwatch.local.stream.all_shards import AllShards
from cardwatch.local.stream.shard import Stream, StreamRecord
from cardwatch.local.witness.receipts import PageEventSeen, PageReceived, read_receipts
from cardwatch.ports import Clock, StreamEntry, StreamUnavailableError
from cardwatch.settings import LocalSettings

if TYPE_CHECKING:
    from mypy_boto3_kinesis.type_defs import ShardTypeDef

PAGES_PER_MINUTE: Final = 300
"""While many scenarios share the notifier: as many as its setting allows."""
_TYPES: Final = ("PAYMENT_ALERT", "PAYMENT_ALERT_SUMMARY")

NotLive = Mapping[str, str]
"""Why each of some scenarios is not played, by name."""


def play_live(
    scenarios: Mapping[str, Scenario],
    stack: "LocalLiveStack",
    *,
    clock: Clock,
    patience: timedelta,
    progress: Callable[[str], None],
) -> tuple[dict[str, PlayedLive], NotLive]:
    """Play scenarios, and say what came of each, or why it is none; raises LiveStackError."""
    reasons = {name: why_not_live(each, patience) for name, each in scenarios.items()}
    not_live = {name: why for name, why in reasons.items() if why is not None}
    live = {name: each for name, each in scenarios.items() if name not in not_live}
    played: dict[str, PlayedLive] = {}
    with stack.own_settings_afterwards():
        for number, each in enumerate(turns := rounds(live), 1):
            progress(f"round {number} of {len(turns)}: {', '.join(each)}")
            played |= play_round(each, stack, clock)
    return played, not_live


class LocalLiveStack:
    """The running one-machine stack, for scenarios to be played on."""

    def __init__(
        self,
        settings: LocalSettings,
        clients: AwsClients,
        outputs: StackOutputs,
        *,
        clock: Clock,
        warm: Callable[[], None],
    ) -> None:
        """Play on the stack of these outputs; `warm` has the notifier start a worker."""
        self._settings = settings
        self._outputs = outputs
        self._kinesis = clients.kinesis()
        self._lambda = clients.lambda_()
        self._stream = KinesisEventStream(self._kinesis, outputs.stream_name, clock)
        self._warm = warm

    @classmethod
    def of(
        cls, settings: LocalSettings, *, clock: Clock, warm: Callable[[StackOutputs], None]
    ) -> "LocalLiveStack":
        """Find the one that runs from this run folder; raises LocalStackError where there is none.

        What answers on the same port may be somebody else's.
        """
        if RunFolder(settings.var).supervisor() is None:
            msg = f"nothing runs here ({settings.var.resolve()}); start it with `cardwatch up`"
            raise LocalStackError(msg)
        outputs = read_outputs(settings)
        return cls(
            settings,
            ministack.clients(settings),
            outputs,
            clock=clock,
            warm=lambda: warm(outputs),
        )

    def put(self, records: Sequence[Record]) -> None:
        """Put records on the stream, those of one key in their order."""
        outcome = self._stream.put([StreamEntry(each.data, each.partition_key) for each in records])
        if outcome.undelivered:
            msg = (
                f"the stream did not take {len(outcome.undelivered)} records "
                f"({outcome.undelivered[0].error_code}); `cardwatch status` shows why"
            )
            raise LiveStackError(msg)

    def disturb(self, disturbance: str) -> None:
        """Do what a scenario says, in the file's words."""
        deeds = {
            "the TaskManager is killed": lambda: self._kill(TASK_MANAGER),
            "a shard is split": self._split,
            "two shards are merged": self._merge,
        }
        with _explained(f"{disturbance}: it could not be done"):
            deeds[disturbance]()

    def page_by(self, paging: Paging) -> None:
        """Have the notifier page by these settings from now on, and let it be warm."""
        with _explained("the notifier could not be given the scenarios' settings"):
            self._set({**self._variables(), **_variables_of(paging)})
        try:
            self._warm()
        except LocalStackError as error:
            raise LiveStackError(str(error)) from None

    @contextmanager
    def own_settings_afterwards(self) -> Iterator[None]:
        """Give the notifier its own settings back when all is played."""
        with _explained("the notifier's settings could not be read"):
            own = self._variables()
        try:
            yield
        finally:
            with _explained("the notifier could not be given its own settings back"):
                self._set(own)

    def said(self, since: datetime) -> Said:
        """Give what came since a time, alerts and summaries from an hour before it on."""
        alerts: dict[str, OnStream] = {}
        summaries: dict[str, OnStream] = {}

        def take(_: str, records: Sequence[StreamRecord]) -> None:
            for each in records:
                record = _said_by(each)
                if record is None:
                    continue
                said = OnStream(each.arrived_at, record)
                if record["type"] == "PAYMENT_ALERT":
                    if not is_canary(record["event_json_data"]["card_token"]):
                        alerts.setdefault(record["event_json_data"]["alert_id"], said)
                else:
                    summaries.setdefault(record["event_id"], said)

        shards = AllShards(Stream(self._kinesis, self._outputs.stream_name), since=since - HOUR)
        try:
            while shards.read(take):
                pass
        except StreamUnavailableError as error:
            raise LiveStackError(str(error)) from None
        receipts = self._settings.var / "receipts"
        pages = {
            page.message_id: Received(page.received, page.kind, page.alert_ids, page.repeat)
            for page in read_receipts(receipts, PageReceived)
            if page.received >= since
        }
        too_old = [
            alert_id
            for event in read_receipts(receipts, PageEventSeen)
            if event.state == "EXPIRED" and event.reason in {None, "too_old"}
            for alert_id in event.alert_ids
        ]
        return Said(
            list(alerts.values()),
            list(summaries.values()),
            list(pages.values()),
            dict.fromkeys(too_old),
        )

    def _variables(self) -> dict[str, str]:
        name = self._outputs.notifier_function
        found = self._lambda.get_function_configuration(FunctionName=name)
        return dict(found["Environment"]["Variables"])

    def _set(self, variables: Mapping[str, str]) -> None:
        name = self._outputs.notifier_function
        if variables != self._variables():
            self._lambda.update_function_configuration(
                FunctionName=name, Environment={"Variables": dict(variables)}
            )

    def _kill(self, program: str) -> None:
        running = {noted.name: noted.process() for noted in RunFolder(self._settings.var).noted()}
        process = running.get(program)
        if process is None:
            msg = f"{program} does not run; `cardwatch status` shows why"
            raise LiveStackError(msg)
        for each in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                each.kill()

    def _split(self) -> None:
        shard = max(self._open_shards(), key=lambda each: _last(each) - _first(each))
        self._kinesis.split_shard(
            StreamName=self._outputs.stream_name,
            ShardToSplit=shard["ShardId"],
            NewStartingHashKey=str((_first(shard) + _last(shard)) // 2 + 1),
        )

    def _merge(self) -> None:
        neighbors = list(pairwise(sorted(self._open_shards(), key=_first)))
        if not neighbors:
            msg = "two shards cannot be merged: the stream has one shard alone"
            raise LiveStackError(msg)
        left, right = min(neighbors, key=lambda two: _last(two[1]) - _first(two[0]))
        self._kinesis.merge_shards(
            StreamName=self._outputs.stream_name,
            ShardToMerge=left["ShardId"],
            AdjacentShardToMerge=right["ShardId"],
        )

    def _open_shards(self) -> "list[ShardTypeDef]":
        pages = self._kinesis.get_paginator("list_shards")
        return [
            shard
            for page in pages.paginate(StreamName=self._outputs.stream_name)
            for shard in page["Shards"]
            if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
        ]


def _said_by(record: StreamRecord) -> dict[str, Any] | None:
    """Give an alert or a summary; None for all else, and for what nobody else would read either."""
    if not any(f'"{each}"'.encode() in record.data for each in _TYPES):
        return None
    try:
        event = read_event(record.data, now=record.arrived_at)
    except RejectedRecord:
        return None
    return dict(json.loads(record.data)) if event.type in _TYPES else None


def _first(shard: "ShardTypeDef") -> int:
    return int(shard["HashKeyRange"]["StartingHashKey"])


def _last(shard: "ShardTypeDef") -> int:
    return int(shard["HashKeyRange"]["EndingHashKey"])


def _variables_of(paging: Paging) -> dict[str, str]:
    said = paging.model_dump() | {"pages_per_minute": PAGES_PER_MINUTE}
    return {name.upper(): str(value) for name, value in said.items()}


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        msg = f"{what} ({reason(error)})"
        raise LiveStackError(msg) from None
