"""A whole stream, or all of it from a time on, whatever is split or merged meanwhile."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from cardwatch.local.stream.shard import ShardCursor, Stream, StreamRecord

RECORDS_PER_READ: Final = 2_000

Take = Callable[[str, Sequence[StreamRecord]], None]
"""Is given a shard's id and its next records."""


class AllShards:
    """Reads every shard of a stream, each in its order; a shard that ends hands over to others."""

    def __init__(self, stream: Stream, *, since: datetime | None = None) -> None:
        """Read `stream`, from `since` on or all of it."""
        self._stream = stream
        self._since = since
        self._cursors: dict[str, ShardCursor] = {}
        self._closed: set[str] = set()
        self._look_for_shards = True

    def read(self, take: Take) -> bool:
        """Read each shard once; gives whether there is more to read at once.

        What `take` raises goes on, and the records it was given are read again. Raises
        StreamUnavailableError and goes on from there later.
        """
        if self._look_for_shards:
            for shard in self._stream.shards():
                if shard.shard_id not in self._closed:
                    cursor = ShardCursor(self._stream, shard.shard_id, since=self._since)
                    self._cursors.setdefault(shard.shard_id, cursor)
            self._look_for_shards = False
        behind = False
        for shard_id, cursor in list(self._cursors.items()):
            behind |= self._read(shard_id, cursor, take)
        return behind or self._look_for_shards

    def _read(self, shard: str, cursor: ShardCursor, take: Take) -> bool:
        after = cursor.after
        got = cursor.read(RECORDS_PER_READ)
        if got.records:
            try:
                take(shard, got.records)
            except BaseException:
                cursor.after = after
                raise
        elif got.closed:
            # Split or merged: its children are looked for.
            self._closed.add(shard)
            del self._cursors[shard]
            self._look_for_shards = True
        return len(got.records) == RECORDS_PER_READ
