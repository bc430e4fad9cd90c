"""The emulator's own Kinesis in this process: boto3 talks to its code, and its clock is moved."""

import asyncio
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from cardwatch.local.services.emulator import Shards

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

ROOT = Path(__file__).parents[1]
STREAM = "events"


class MovedClock:
    """What the emulator's code uses of the module `time`."""

    def __init__(self, start: float) -> None:
        self.seconds = start

    def time(self) -> float:
        return self.seconds


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self._body


class EmulatedKinesis:
    """One stream on a fresh copy of MiniStack's Kinesis module."""

    def __init__(
        self,
        *,
        as_it_is: bool = False,
        shards: int = 2,
        most: int = 500_000,
        told: Path | None = None,
    ) -> None:
        """`as_it_is`: without what cardwatch replaces in it."""
        self.module: Any = _load()
        self.clock = MovedClock(1_790_000_000.0)
        self.module.time = self.clock
        self.shards = None if as_it_is else Shards(self.module, most=most, told=told)
        self.client = self._client()
        self.client.create_stream(StreamName=STREAM, ShardCount=shards)
        self.put_count = 0
        self.last_sequence = ""
        self._data: dict[str, str] = {}

    def put(self, *, hash_key: int | None = None) -> str:
        """Put one record, numbered from 0; gives its data."""
        data = str(self.put_count)
        self.put_count += 1
        where: Any = {} if hash_key is None else {"ExplicitHashKey": str(hash_key)}
        answer = self.client.put_record(
            StreamName=STREAM, Data=data.encode(), PartitionKey=data, **where
        )
        self.last_sequence = answer["SequenceNumber"]
        self._data[self.last_sequence] = data
        return data

    def data_of(self, sequence: str) -> str:
        """Give the data of a record that was put."""
        return self._data[sequence]

    def fill(self, count: int, *, size: int = 500) -> None:
        """Put `count` records of `size` bytes on the first shard, without the API's cost."""
        stream = self.module._streams[STREAM]  # noqa: SLF001
        shard = next(iter(stream["shards"].values()))
        for _ in range(count):
            shard["records"].append(
                {
                    "SequenceNumber": self.module._next_sequence_number(),  # noqa: SLF001
                    "ApproximateArrivalTimestamp": self.clock.seconds,
                    "Data": "e" * size,
                    "PartitionKey": "k",
                }
            )

    def _client(self) -> "KinesisClient":
        session = boto3.Session(
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106  opens nothing
            region_name="us-east-1",
        )
        client = session.client(
            "kinesis",
            endpoint_url="http://127.0.0.1:9",
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register("before-send.kinesis", self._answer)
        return client

    def _answer(self, request: Any, **_: object) -> Any:  # noqa: ANN401  botocore's own
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        call = self.module.handle_request("POST", "/", headers, request.body, {})
        status, answered, content = asyncio.run(call)
        return AWSResponse(request.url, status, answered, _Raw(content))


def _load() -> Any:  # noqa: ANN401  untyped there
    folder = next((ROOT / ".venvs/ministack").glob("lib/python3.*/site-packages"))
    with _importable(folder):
        spec = importlib.util.spec_from_file_location(
            "emulated_kinesis_module", folder / "ministack/services/kinesis.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    # Last, so that nothing of this environment is taken from there.
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
