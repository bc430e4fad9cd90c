"""The local edge: the stream read and written through the Kinesis API from PyFlink functions.

It stands in where the official connector's jar cannot be had, and is for one machine: one reader
for all shards. Two pairs of functions, nothing in between:

- ticks wake the reader, whose processing-time timer polls the stream from then on. The sequence
  number of the last record of each shard is keyed state, so a restored job goes on exactly there. A
  shard that is split or merged while the job runs is read to its end, then its children.
- rows to write are keyed state until the stream has taken them, in batches made by a timer: a
  restored job may write a row again, it never loses one.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from pyflink.common import Row, TypeInformation, Types
from pyflink.common.time import Instant as FlinkInstant
from pyflink.datastream.functions import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import (
    ListState,
    ListStateDescriptor,
    MapState,
    MapStateDescriptor,
)
from pyflink.table import Schema, StreamTableEnvironment, Table
from pyflink.table.types import DataType, RowType, VarCharType, _from_java_data_type

from edges import EDGE_GROUP, Job, schema_of
from local_json import Decoder, Fields, Kind, Text
from local_stream import (
    ShardReader,
    Start,
    StreamAddress,
    StreamError,
    StreamWriter,
    list_shards,
    wait_seconds,
)
from properties import Properties, PropertyError
from queries import EVENTS_STREAM, of_stream

BUNDLE_MS: Final = 10
"""How long Flink collects rows before it hands them to Python, or takes them from there."""
ARRIVED_AT: Final = "arrived_at"
_ONE_KEY: Final = 0
"""All state is under one key: one reader, one writer."""


class LocalEdge:
    """Reads the table `events` from the stream and writes the detections back to it."""

    def options(self, properties: Properties) -> Mapping[str, str]:
        """Give the options of the Python functions' runtime."""
        del properties
        return {
            "python.execution-mode": "process",
            "python.fn-execution.bundle.time": str(BUNDLE_MS),
            "python.fn-execution.bundle.size": "1000",
        }

    def register_events(self, job: Job) -> None:
        """Create `events` from the stream.

        Raises PropertyError, also when the stream that the properties name cannot be reached.
        """
        address = stream_address(job.properties)
        poll_ms = job.properties.whole_number(EDGE_GROUP, "poll_ms", 200, least=10, most=10_000)
        columns = columns_of(job.tables, "events_schema")
        start = _start(job.properties)
        try:
            shards = list_shards(address)
        except StreamError as error:
            raise PropertyError(str(error)) from None
        reader = PollStream(address, shards, start, poll_ms, columns)
        job.tables.execute_sql(
            "CREATE TEMPORARY TABLE ticks (tick INT, made_at AS PROCTIME()) WITH ("
            "'connector' = 'datagen', 'rows-per-second' = '1', 'fields.tick.kind' = 'random')"
        )
        # The generator makes up for every second that the machine slept, all at once: thousands of
        # rows, which the reader would work off before it reads again. One of them is enough.
        together = job.tables.sql_query(
            "SELECT CAST(COUNT(*) AS INT) AS ticks FROM TABLE("
            "TUMBLE(TABLE ticks, DESCRIPTOR(made_at), INTERVAL '0.1' SECOND)) "
            "GROUP BY window_start, window_end"
        )
        events = (
            job.tables.to_data_stream(together)
            .key_by(_one_key, key_type=Types.INT())
            .process(reader, output_type=row_type(columns))
            .name("read stream")
            .uid("read-stream")
        )
        # One reader speaks for all shards, so that none of them can hold back the watermark.
        events.set_parallelism(1)
        declared = Schema.new_builder().from_schema(schema_of(job.tables, "events_schema"))
        schema = declared.column(ARRIVED_AT, "TIMESTAMP_LTZ(3)").build()
        table = job.tables.from_data_stream(events, schema)
        job.tables.create_temporary_view("events", table)

    def write_outputs(self, job: Job, outputs: Mapping[str, Table]) -> None:
        """Write `outputs` to their streams; raises PropertyError."""
        flush_ms = job.properties.whole_number(EDGE_GROUP, "flush_ms", 50, least=1, most=10_000)
        for stream, table in outputs.items():
            of = "" if stream == EVENTS_STREAM else f"-{stream}"
            (
                job.tables.to_data_stream(table)
                .key_by(_one_key, key_type=Types.INT())
                .process(
                    PutOnStream(stream_address(job.properties, stream), flush_ms), Types.STRING()
                )
                .name(f"write stream{of}")
                .uid(f"write-stream{of}")
                .set_parallelism(1)
            )


def stream_address(properties: Properties, stream: str = EVENTS_STREAM) -> StreamAddress:
    """Give the address that the properties give a stream; raises PropertyError."""
    return StreamAddress(
        name=properties.text(EDGE_GROUP, of_stream("stream_name", stream)),
        region=properties.text(EDGE_GROUP, "aws_region"),
        endpoint=properties.text(EDGE_GROUP, "endpoint_url"),
    )


def columns_of(tables: StreamTableEnvironment, table: str) -> Fields:
    """Give what is to be decoded for a registered table: its physical columns.

    Raises TypeError for a type that the decoder does not know.
    """
    environment = tables._j_tenv  # noqa: SLF001  PyFlink mixes physical and computed columns
    identifier = environment.getCatalogManager().qualifyIdentifier(
        environment.getParser().parseIdentifier(table)
    )
    found = environment.getCatalogManager().getTable(identifier).get()
    physical = _from_java_data_type(found.getResolvedSchema().toPhysicalRowDataType())
    return Fields(tuple((field.name, _kind_of(field.data_type)) for field in physical))


class PollStream(KeyedProcessFunction):  # type: ignore[misc]
    """Polls the stream every `poll_ms` and emits the rows of what it finds."""

    def __init__(
        self,
        address: StreamAddress,
        shards: tuple[str, ...],
        start: Start,
        poll_ms: int,
        columns: Fields,
    ) -> None:
        """Read all `shards`, each from its position in the state, or else from `start`."""
        self._address = address
        self._shards = shards
        self._start = start
        self._poll_ms = poll_ms
        self._columns = columns
        self._positions: MapState
        self._reader: ShardReader | None = None
        self._decoder: Decoder

    def open(self, runtime_context: RuntimeContext) -> None:
        """Prepare; the state can be read from the first row on only."""
        self._positions = runtime_context.get_map_state(
            MapStateDescriptor("positions", Types.STRING(), Types.STRING())
        )
        self._decoder = Decoder(self._columns, row=Row)

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> None:
        """Wake up: where a timer waits already, the same moment is one timer.

        A restored job does not always have one, and a clock that went back leaves one far ahead.
        """
        del value
        self._wake(ctx)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        """Poll once; raises StreamError, on which Flink restarts the job."""
        del timestamp
        if self._reader is None:
            positions = dict(self._positions.items())
            self._reader = ShardReader(
                self._address.client(), self._address, self._shards, positions, self._start
            )
        taken: dict[str, str] = {}
        for shard, sequence_number, arrived, data in self._reader.poll():
            taken[shard] = sequence_number
            for row in self._decoder.decode(data):
                yield Row(*row, FlinkInstant.of_epoch_milli(arrived))
        for shard, sequence_number in taken.items():
            self._positions.put(shard, sequence_number)
        self._wake(ctx)

    def _wake(self, ctx: KeyedProcessFunction.Context) -> None:
        timers = ctx.timer_service()
        now = timers.current_processing_time()
        timers.register_processing_time_timer(now - now % self._poll_ms + self._poll_ms)


class PutOnStream(KeyedProcessFunction):  # type: ignore[misc]
    """Writes rows of a record and its partition key; emits nothing."""

    def __init__(self, address: StreamAddress, flush_ms: int) -> None:
        """Write what came within `flush_ms` together."""
        self._address = address
        self._flush_ms = flush_ms
        self._rows: ListState
        self._writer: StreamWriter
        self._failures = 0

    def open(self, runtime_context: RuntimeContext) -> None:
        """Connect."""
        self._rows = runtime_context.get_list_state(
            ListStateDescriptor("unwritten", Types.TUPLE([Types.STRING(), Types.STRING()]))
        )
        self._writer = StreamWriter(self._address.client(), self._address)

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> None:
        """Keep a row until the next flush."""
        self._rows.add((value[0], value[1]))
        if not self._failures:
            self._flush_after(self._flush_ms, ctx)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[str]:
        """Write what is there; what the stream did not take is tried again, for ever.

        Raises StreamError when trying again cannot help.
        """
        del timestamp
        refused = self._writer.put(list(self._rows.get()))
        if refused:
            self._failures += 1
            self._rows.update(refused)
            self._flush_after(int(wait_seconds(self._failures) * 1000), ctx)
        else:
            self._failures = 0
            self._rows.clear()
        return iter(())

    def _flush_after(self, wait_ms: int, ctx: KeyedProcessFunction.Context) -> None:
        timers = ctx.timer_service()
        now = timers.current_processing_time()
        # Rounded, so that all rows of one wait share one timer.
        timers.register_processing_time_timer(now - now % wait_ms + wait_ms)


def _one_key(row: Row) -> int:
    del row
    return _ONE_KEY


def _start(properties: Properties) -> Start:
    position = properties.text(EDGE_GROUP, "start_position", "TRIM_HORIZON")
    timestamp = properties.text(EDGE_GROUP, "start_timestamp", "none")
    try:
        return Start.of(position, timestamp)
    except ValueError as error:
        msg = f"group {EDGE_GROUP}: {error}; correct it in {properties.source}"
        raise PropertyError(msg) from None


def _kind_of(data_type: DataType) -> Kind:
    match data_type:
        case VarCharType():
            return Text()
        case RowType():
            return Fields(tuple((field.name, _kind_of(field.data_type)) for field in data_type))
        case _:
            msg = f"the local edge cannot decode {data_type}: teach local_json.py to"
            raise TypeError(msg)


def row_type(columns: Fields) -> TypeInformation:
    """Give PyFlink's type of a record's row: what the decoder makes of it, and its arrival."""
    names = [name for name, _ in columns.columns]
    types = [type_of(kind) for _, kind in columns.columns]
    return Types.ROW_NAMED([*names, ARRIVED_AT], [*types, Types.INSTANT()])


def type_of(kind: Kind) -> TypeInformation:
    """Give PyFlink's type of what the decoder makes of a column."""
    match kind:
        case Text():
            return Types.STRING()
        case Fields():
            names = [name for name, _ in kind.columns]
            return Types.ROW_NAMED(names, [type_of(inner) for _, inner in kind.columns])
