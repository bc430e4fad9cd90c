"""The AWS emulator with a Kinesis that can be read for days: a program of its own environment.

It runs on the emulator's interpreter, so it imports the standard library and MiniStack alone. Some
functions of MiniStack's Kinesis are replaced before it serves, because they

- look at every retained record at each call, reading and writing alike: here the oldest are looked
  at and a place is found by halving, so that a call costs the same on a long stream;
- look at every iterator of the last five minutes at each call, thousands: here now and then;
- keep iterators as places in a list that retention shortens from the front, so that a reader which
  goes from one to the next skips what it has not read: here they move along;
- keep every record for 24 hours, whatever the rate: here the oldest go as well when there are
  MAX_RECORDS, and DROPPED counts them;
- forget a shard that is split or merged, with all that is on it: here it is closed, and stays to be
  read to its end as on AWS.

Source of what AWS does: Kinesis Data Streams Developer Guide, "Resharding a stream" and "Strategies
for resharding"; API Reference, GetRecords and UpdateShardCount.
"""

import bisect
import importlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

MAX_RECORDS: Final = 500_000
"""Of one stream: about 0.6 GB, and 5 hours at the default rate."""
EXPIRE_SECONDS: Final = 5.0
DROPPED: Final = "CARDWATCH_STREAM_DROPPED"
"""Environment variable: the file that says how many records were dropped before their time."""
_OPEN_ENDED: Final = "ending_sequence_number"
_MOST_PARENTS: Final = 2

Answer = tuple[int, dict[str, str], Any]
Call = Callable[[Mapping[str, Any]], Answer]


class Shards:
    """Replaces what one Kinesis module of MiniStack does with records, iterators and shards."""

    def __init__(self, kinesis: Any, *, most: int = MAX_RECORDS, told: Path | None = None) -> None:  # noqa: ANN401
        """Install into the module `kinesis`; `told` is where dropped records are counted."""
        self._kinesis = kinesis
        self._most = most
        self._told = told
        self.dropped = 0
        """Records that went before their time."""
        self._replace("_expire_records", self.trim)
        self._expire: Callable[[], None] = self._replace("_expire_iterators", self.expire)
        self._expired_at = float("-inf")
        self._replace("_start_position", start_position)
        self._replace("_route_to_shard", route)
        self._replace("_update_shard_count", self.update_shard_count)
        self._shard_out: Callable[..., dict[str, Any]] = self._replace("_shard_out", self.describe)
        self._get_records: Call = self._replace("_get_records", self.get_records)
        split: Call = self._replace("_split_shard", lambda data: self._reshard(split, data))
        merge: Call = self._replace("_merge_shards", lambda data: self._reshard(merge, data))

    def _replace(self, name: str, new: Callable[..., Any]) -> Any:  # noqa: ANN401  untyped there
        """Give what was there; raises AttributeError where this MiniStack has no such function."""
        old = getattr(self._kinesis, name)
        setattr(self._kinesis, name, new)
        return old

    # ---------- records ----------

    def trim(self, stream: dict[str, Any]) -> None:
        """Drop what is too old, and the oldest of what is too much."""
        shards: dict[str, Any] = stream["shards"]
        now = self._kinesis.time.time()
        cutoff = now - stream["RetentionPeriodHours"] * 3600
        for shard_id, shard in list(shards.items()):
            records = shard["records"]
            # A second's grace, so that a full shard is not moved up at each call.
            if records and records[0]["ApproximateArrivalTimestamp"] < cutoff - 1:
                self._drop(stream, shard_id, bisect.bisect_left(records, cutoff, key=_arrival))
            if not records and shard.get("closed_at", now) < cutoff:
                del shards[shard_id]
        if sum(len(shard["records"]) for shard in shards.values()) > self._most:
            self._drop_oldest(stream)

    def expire(self) -> None:
        """Forget expired iterators, now and then: what uses one looks at its age itself."""
        now = self._kinesis.time.time()
        if abs(now - self._expired_at) >= EXPIRE_SECONDS:
            self._expired_at = now
            self._expire()

    def _drop_oldest(self, stream: dict[str, Any]) -> None:
        """Drop the oldest twentieth, by arrival over all shards, so that it is seldom needed."""
        arrivals = sorted(
            record["ApproximateArrivalTimestamp"]
            for shard in stream["shards"].values()
            for record in shard["records"]
        )
        cutoff = arrivals[len(arrivals) - self._most + self._most // 20]
        for shard_id, shard in stream["shards"].items():
            count = bisect.bisect_left(shard["records"], cutoff, key=_arrival)
            self._drop(stream, shard_id, count)
            self.dropped += count
        if self._told is not None:
            new = self._told.with_name(self._told.name + ".new")
            new.write_text(f"{self.dropped}\n")
            new.replace(self._told)

    def _drop(self, stream: dict[str, Any], shard_id: str, count: int) -> None:
        del stream["shards"][shard_id]["records"][:count]
        for state in self._kinesis._shard_iterators.values():  # noqa: SLF001
            if (state["stream_arn"], state["shard_id"]) == (stream["StreamARN"], shard_id):
                state["position"] = max(0, state["position"] - count)

    # ---------- shards ----------

    def get_records(self, data: Mapping[str, Any]) -> Answer:
        """Answer as MiniStack does; the end of a closed shard has no next iterator."""
        iterators = self._kinesis._shard_iterators  # noqa: SLF001
        state = iterators.get(data.get("ShardIterator"))
        status, headers, body = self._get_records(data)
        stream = self._kinesis._streams.get(state["stream"]) if state else None  # noqa: SLF001
        shard = stream["shards"].get(state["shard_id"]) if stream and state else None
        if shard is None or _OPEN_ENDED not in shard:
            return status, headers, body
        answer = json.loads(body)
        following = iterators.get(answer.get("NextShardIterator"))
        if following and following["position"] >= len(shard["records"]):
            del iterators[answer.pop("NextShardIterator")]
            answer["MillisBehindLatest"] = 0
        return self._answer(answer)

    def describe(self, shard_id: str, shard: Mapping[str, Any]) -> dict[str, Any]:
        """Describe a shard; a closed one has an end."""
        described = self._shard_out(shard_id, shard)
        if _OPEN_ENDED in shard:
            described["SequenceNumberRange"]["EndingSequenceNumber"] = shard[_OPEN_ENDED]
        return described

    def _reshard(self, change: Call, data: Mapping[str, Any]) -> Answer:
        _, stream = self._kinesis._resolve_stream(data)  # noqa: SLF001
        if stream is None:
            return change(data)
        before = dict(stream["shards"])
        for name in ("ShardToSplit", "ShardToMerge", "AdjacentShardToMerge"):
            if _OPEN_ENDED in before.get(data.get(name, ""), {}):
                return self._refuse(f"Shard {data[name]} is closed")
        answer = change(data)
        self._close(stream, {i: s for i, s in before.items() if i not in stream["shards"]})
        return answer

    def update_shard_count(self, data: Mapping[str, Any]) -> Answer:
        """Close all open shards and open `TargetShardCount` that share the hash keys evenly.

        AWS gets there by splits and merges, so a shard has at most two parents here too.
        """
        name, stream = self._kinesis._resolve_stream(data)  # noqa: SLF001
        target = int(data.get("TargetShardCount", 0))
        if stream is None:
            return self._refuse(f"Stream {name} not found", "ResourceNotFoundException")
        old = {i: s for i, s in stream["shards"].items() if _OPEN_ENDED not in s}
        if not len(old) / 2 <= target <= 2 * len(old):
            return self._refuse(f"UpdateShardCount from {len(old)} goes to half or twice as many")
        first = self._kinesis._max_shard_index(stream) + 1  # noqa: SLF001
        new = self._kinesis._build_shards(target, start_index=first)  # noqa: SLF001
        for shard in new.values():
            parents = [i for i, parent in old.items() if _overlap(parent, shard)]
            if len(parents) > _MOST_PARENTS:
                return self._refuse(f"a shard of {target} would have {len(parents)} parents")
            shard["parent_shard_id"] = parents[0]
            shard["adjacent_parent_shard_id"] = parents[1] if parents[1:] else None
        self._close(stream, old)
        stream["shards"].update(new)
        return self._answer(
            {
                "StreamName": stream["StreamName"],
                "CurrentShardCount": len(old),
                "TargetShardCount": target,
                "StreamARN": stream["StreamARN"],
            }
        )

    def _close(self, stream: dict[str, Any], shards: Mapping[str, dict[str, Any]]) -> None:
        for shard_id, shard in shards.items():
            shard[_OPEN_ENDED] = self._kinesis._next_sequence_number()  # noqa: SLF001
            shard["closed_at"] = self._kinesis.time.time()
            stream["shards"][shard_id] = shard

    def _answer(self, body: Mapping[str, Any]) -> Answer:
        answer: Answer = self._kinesis.json_response(body)
        return answer

    def _refuse(self, text: str, code: str = "InvalidArgumentException") -> Answer:
        answer: Answer = self._kinesis.error_response_json(code, text, 400)
        return answer


def start_position(records: list[Any], kind: str, number: str, moment: object) -> int | None:
    """Give the place in `records` where an iterator begins; None for a kind that is not known."""
    match kind:
        case "TRIM_HORIZON":
            return 0
        case "LATEST":
            return len(records)
        case "AT_SEQUENCE_NUMBER":
            return bisect.bisect_left(records, number, key=_number)
        case "AFTER_SEQUENCE_NUMBER":
            return bisect.bisect_right(records, number, key=_number)
        case "AT_TIMESTAMP":
            return bisect.bisect_left(records, float(str(moment)), key=_arrival)
        case _:
            return None


def route(hash_key: int, stream: Mapping[str, Any]) -> str:
    """Give the open shard that takes a hash key."""
    return next(
        str(shard_id)
        for shard_id, shard in stream["shards"].items()
        if _OPEN_ENDED not in shard
        and int(shard["starting_hash_key"]) <= hash_key <= int(shard["ending_hash_key"])
    )


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return int(one["starting_hash_key"]) <= int(other["ending_hash_key"]) and int(
        other["starting_hash_key"]
    ) <= int(one["ending_hash_key"])


def _arrival(record: Mapping[str, Any]) -> float:
    return float(record["ApproximateArrivalTimestamp"])


def _number(record: Mapping[str, Any]) -> str:
    return str(record["SequenceNumber"])


def main() -> None:
    """Serve until SIGTERM."""
    told = os.environ.get(DROPPED)
    kinesis = importlib.import_module("ministack.services.kinesis")
    Shards(kinesis, told=Path(told) if told else None)
    importlib.import_module("ministack.app").main()


if __name__ == "__main__":
    main()
