"""The job's views and detections, found in their files and ordered by what they read.

A query is one SELECT in sql/views or sql/detections; its name is its file's. Lines of its
header speak to this module:

    -- reads: stolen, on_time      the queries it reads; `events` is the stream
    -- boundary: rt                its rows become a stream and a table again, with this row time;
                                   "none": without, and what reads it meets no watermark
    -- watermark: rt - …           that row time's watermark; without it, the one of what it reads
    -- lifetime: 2 h               of a boundary: how long its state is kept; without it, for good
    -- application: risk_desk      which application runs a detection; without it, stolen_cards
    -- on demand: yes              of a detection: it runs only where the properties name it
    -- stream: scores              onto which stream a detection goes; without it, events

What is read is held against the SQL, so that the header cannot lie. A detection gives two columns:
`record`, a complete envelope, and `partition_key`, where it stands on the stream: what the contract
says of its type (cardwatch.contract.streams), else its event_id. What several queries compute alike
is an expression in sql/expressions, `SELECT` and a value or columns, named as ${its_name}, or
${its_name(column)} where the expression speaks of ${it}. An expression may name others, and
settings of the job are named likewise.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from properties import Properties, PropertyError
from sql_files import SQL

DETECTION_GROUP = "cardwatch.detection"
"""The property group that says what is detected, and how."""
EVENTS = "events"
"""The table that the edge registers: where every query begins."""
NO_ROW_TIME = "none"
"""What a header gives as its boundary's row time when the rows have none."""
EVENTS_STREAM = "events"
"""The stream of a detection whose header names none: the one that everything is read from."""
STOLEN_CARDS = "stolen_cards"
"""The application of a detection whose header names none: the one that nothing may delay."""

_HEADER_LINE = re.compile(
    r"^-- (reads|boundary|watermark|lifetime|application|stream|on demand): (.*)$", re.MULTILINE
)
_EXPRESSION = re.compile(r"\$\{(\w+)(?:\(([\w.]+)\))?\}")
_COMMENT = re.compile(r"--[^\n]*")
_NOT_SQL = re.compile(r"'(?:[^']|'')*'|\bEXTRACT\s*\([^()]*\)", re.IGNORECASE)
# A name in parentheses' front is a function: FROM TABLE(…), CROSS JOIN UNNEST(…).
_READ = re.compile(r"\b(?:FROM|JOIN|TABLE)\s+([a-z_]\w*)\b(?!\s*\()", re.IGNORECASE)


class QueryError(Exception):
    """The SQL files do not fit together; the text names the file and the remedy."""


@dataclass(frozen=True)
class Query:
    """One view or detection."""

    name: str
    file: str
    """Where it stands, below sql/."""
    text: str
    reads: tuple[str, ...]
    boundary: str | None
    """The row time that its rows get as a stream, or "none"; None: planned with what reads it."""
    watermark: str | None
    """The SQL of the row time's watermark; None: that of what it reads."""
    lifetime: str | None
    """How long the state of what is planned with this boundary is kept; None: for good."""
    application: str | None
    """Which application runs it; None for a view, which any of them may read."""
    stream: str
    """Where a detection is written to."""
    on_demand: bool
    """Whether it runs only where it is named."""

    @property
    def is_detection(self) -> bool:
        return self.application is not None


def find_queries(folder: Path = SQL, settings: Mapping[str, str] | None = None) -> dict[str, Query]:
    """Give every query by its name; raises QueryError for a header that is not the SQL's.

    `settings` are what a watermark may name besides columns.
    """
    expressions = {
        path.stem: _COMMENT.sub("", path.read_text(encoding="utf-8"))
        .strip()
        .removeprefix("SELECT")
        .strip()
        for path in (folder / "expressions").glob("*.sql")
    }
    found: dict[str, Query] = {}
    for kind in ("views", "detections"):
        for path in sorted((folder / kind).glob("*.sql")):
            query = _read_query(path, expressions, settings or {})
            if query.name in found or query.name == EVENTS:
                msg = f"{query.file}: the name {query.name} is taken; rename the file"
                raise QueryError(msg)
            found[query.name] = query
    for query in found.values():
        for name in query.reads:
            if name not in found and name != EVENTS:
                msg = f"{query.file} reads {name}, which is no file in views/: correct the name"
                raise QueryError(msg)
    return found


def settings_of(properties: Properties) -> dict[str, str]:
    """Give what queries may name of the job's settings; raises PropertyError."""
    delay_ms = properties.whole_number(
        DETECTION_GROUP, "watermark_delay_ms", 1_000, least=0, most=600_000
    )
    rows = properties.whole_number(DETECTION_GROUP, "minute_rows", 1_000, least=1, most=1_000_000)
    return {
        "watermark_delay": f"{delay_ms // 1000}.{delay_ms % 1000:03d}",
        "minute_rows": str(rows),
    }


def in_order(queries: Mapping[str, Query], detections: Collection[str]) -> list[Query]:
    """Give what these detections need, each query behind those it reads; raises QueryError."""
    needed: dict[str, tuple[str, ...]] = {}
    wanted = list(detections)
    while wanted:
        name = wanted.pop()
        if name != EVENTS and name not in needed:
            needed[name] = tuple(sorted(queries[name].reads))
            wanted += needed[name]
    try:
        # Sorted, so that a job is planned alike every time: its state is found by that.
        ordered = TopologicalSorter(dict(sorted(needed.items()))).static_order()
        return [queries[name] for name in ordered if name != EVENTS]
    except CycleError as error:
        circle = " reads ".join(reversed(error.args[1]))
        msg = f"sql/ has a circle: {circle}; take one of these reads out"
        raise QueryError(msg) from None


def chosen_detections(properties: Properties, queries: Mapping[str, Query]) -> list[str]:
    """Give the detections that the properties ask for, sorted.

    `application` asks for those of one application, `detections` for some by name, and neither for
    all; those on demand come where `on_demand` or `detections` names them. Raises PropertyError for
    what no file has.
    """
    known = {name: query.application for name, query in queries.items() if query.application}
    application = properties.text(DETECTION_GROUP, "application", "")
    asked = properties.text(DETECTION_GROUP, "detections", "")
    demanded = set(_names(properties.text(DETECTION_GROUP, "on_demand", "")))
    if application and asked:
        msg = (
            f"group {DETECTION_GROUP} has both application and detections: take one of them out of "
            f"{properties.source}"
        )
        raise PropertyError(msg)
    if asked:
        names = set(_names(asked))
        _check_known("detections", names, known, properties)
        return sorted(names)
    _check_known("on_demand", demanded, {n for n in known if queries[n].on_demand}, properties)
    if application:
        _check_known("application", [application], set(known.values()), properties)
    return sorted(
        name
        for name, its in known.items()
        if (not application or its == application)
        and (name in demanded or not queries[name].on_demand)
    )


def of_stream(key: str, stream: str) -> str:
    """Name the property that says of one stream what `key` says of the events' stream."""
    return f"{stream}_{key}" if key.startswith("stream_") and stream != EVENTS_STREAM else key


def _check_known(
    key: str, names: Iterable[str], known: Collection[str], properties: Properties
) -> None:
    for name in names:
        if name not in known:
            msg = (
                f"property {key} of group {DETECTION_GROUP} names {name!r}, which is none of "
                f"{', '.join(sorted(known))}: correct it in {properties.source}"
            )
            raise PropertyError(msg)


def _read_query(path: Path, expressions: Mapping[str, str], settings: Mapping[str, str]) -> Query:
    file, text = f"{path.parent.name}/{path.name}", path.read_text(encoding="utf-8")
    header = dict(_HEADER_LINE.findall(text))
    watermark = header.get("watermark")
    if watermark is not None:
        watermark = _filled(watermark, settings, file, "is no setting of the job")
    values = {**expressions, **settings}
    text = _filled(
        _COMMENT.sub("", text), values, file, "is no file in expressions/ and no setting"
    )
    said = set(_names(header.get("reads", "")))
    read = {name for name in _READ.findall(_NOT_SQL.sub(" ", text)) if name.upper() != "TABLE"}
    if said != read:
        msg = (
            f"{file} says that it reads {_list(said)}, and reads {_list(read)}: "
            f"write `-- reads: {', '.join(sorted(read))}` into its header"
        )
        raise QueryError(msg)
    is_detection = path.parent.name == "detections"
    application = header.get("application", STOLEN_CARDS) if is_detection else None
    for line in {"application", "stream", "on demand"} & set(header) if not is_detection else ():
        msg = f"{file} names its {line}, and is a view: take the line out, the detections say it"
        raise QueryError(msg)
    row_times = _names(header.get("boundary", ""))
    if len(row_times) > 1:
        msg = f"{file} names {_list(row_times)} as the row time of its boundary: name one column"
        raise QueryError(msg)
    if "lifetime" in header and not row_times:
        msg = f"{file} has a lifetime, and is no boundary: give it one, or take the lifetime out"
        raise QueryError(msg)
    return Query(
        name=path.stem,
        file=file,
        text=text,
        reads=tuple(sorted(read)),
        boundary=row_times[0] if row_times else None,
        watermark=watermark,
        lifetime=header.get("lifetime"),
        application=application,
        stream=header.get("stream", EVENTS_STREAM),
        on_demand="on demand" in header,
    )


def _filled(text: str, values: Mapping[str, str], file: str, otherwise: str) -> str:
    def value(found: re.Match[str]) -> str:
        name, column = found[1], found[2]
        if name not in values:
            msg = f"{file} names ${{{name}}}, which {otherwise}: correct the name"
            raise QueryError(msg)
        return _filled(values[name].replace("${it}", column or "${it}"), values, file, otherwise)

    return _EXPRESSION.sub(value, text)


def _names(value: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in value.split(",")) if name)


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
