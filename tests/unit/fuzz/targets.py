"""What is fed with bytes that nobody thought of, and what must hold of whatever comes out.

A target reads an input as its part of cardwatch gets it, and fails by an exception that this part
does not promise, or by an assertion. `make fuzz` looks for inputs by the code that they reach;
test_corpus.py plays those that were kept.
"""

import base64
import html
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from tests.card_numbers import NUMBERS
from tests.fakes import NOON
from tests.unit.acts.support import Office, hidden_fields
from tests.unit.imports.support import THREE_ROWS
from tests.unit.paging.support import World, alert_event, records
from typer import BadParameter
from typer.core import TyperGroup
from typer.main import get_command

from cardwatch.acts.answers import FORM_TYPE, answer_get, answer_post
from cardwatch.cards.card_file import CardFileError, read_card_file, write_card_file
from cardwatch.cards.generator import generate_cards
from cardwatch.cards.tokenizer import Tokenizer
from cardwatch.cli import run_command_line
from cardwatch.cli.application import CommandError, app, length_of_time
from cardwatch.cli.audit import read_since
from cardwatch.cli.events import read_instant
from cardwatch.contract.card_numbers import holds_card_number
from cardwatch.contract.framing import split_record
from cardwatch.contract.streams import Envelope, RejectedRecord, read_event
from cardwatch.imports.errors import ImportFileError
from cardwatch.imports.importing import import_rows
from cardwatch.imports.mapping import Mapping, find_mapping, parse_mapping
from cardwatch.imports.table import open_table
from cardwatch.paging.ports import LedgerItem
from cardwatch.paging.records import Page
from cardwatch.rules.file import read_rules_file
from cardwatch.staging.quarantined import quarantined_events
from cardwatch.staging.transform import transform
from cardwatch.yaml_lines import YamlFileError

ROOT = Path(__file__).parents[3]
MAX_RECORDS = 20
LINE = b"\n"
MASKED = re.compile(r"\d*\*{6}\d*")


@dataclass(frozen=True)
class Target:
    """One part of cardwatch that reads what others wrote."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    """Inputs to begin with: what this part gets on a good day, and what it knows to be bad."""


@cache
def examples() -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(ROOT.glob("events/examples/*/*/*.json")))


def no_card_number(*texts: str) -> None:
    # A masked number and the amount behind it may have the digits of one. Not by assert, which
    # would write the text out.
    if any(holds_card_number(MASKED.sub("card", text)) for text in texts):
        msg = "a card number is shown"
        raise AssertionError(msg)


@cache
def scratch() -> Path:
    folder = tempfile.mkdtemp(prefix="cardwatch-fuzz-")
    return Path(folder) / "input"


def as_file(data: bytes) -> Path:
    scratch().write_bytes(data)
    return scratch()


def read_record(data: bytes) -> None:
    """Every part of a record is an event as it will be read again, or refused with a reason."""
    parts = split_record(data)
    assert parts
    for part in parts:
        try:
            event = read_event(part, now=NOON)
        except RejectedRecord as rejected:
            no_card_number(str(rejected))
        else:
            no_card_number(event.data_text())
            assert read_event(event.to_bytes(), now=NOON) == event


def record_seeds() -> Iterator[bytes]:
    yield from examples()
    yield LINE.join(examples()[:3])


def stage(data: bytes) -> None:
    """Firehose gets one answer for each record: a line for COPY, or its own data back."""
    parts = data.split(LINE)[:MAX_RECORDS]
    arrived = int(NOON.timestamp() * 1000)
    asked = [
        {
            "recordId": str(number),
            "data": base64.b64encode(part).decode(),
            "approximateArrivalTimestamp": arrived,
        }
        for number, part in enumerate(parts)
    ]
    batch = transform({"records": asked}, now=NOON)
    answers = batch.response["records"]
    assert [each["recordId"] for each in answers] == [each["recordId"] for each in asked]
    assert batch.staged + batch.quarantined.total() == len(parts)
    for answer, part in zip(answers, parts, strict=True):
        staged = base64.b64decode(answer["data"])
        if answer["result"] == "Ok":
            no_card_number(json.loads(staged)["event_json_data"])
        else:
            assert staged == part
    tokens = set(re.findall(r"[0-9a-f]{32}", data.decode(errors="replace")))
    for entry in quarantined_events(batch.quarantined_records, tokens):
        event = read_event(entry.data, now=NOON)
        no_card_number(event.data_text())


def page(data: bytes) -> None:
    """Every alert of a batch is in one page, all else is kept; nothing has to come again."""
    parts = data.split(LINE)[:MAX_RECORDS]
    world = World()
    outcome = world.page_batch(records(*parts))
    assert outcome.failed == set()
    kept = [letter for letters in world.dead_letters.letters.values() for letter in letters]
    assert len(kept) == outcome.poison.total()
    paged = Counter(i for message in world.pager.sent for i in message.alert_ids)
    held = {i.key for i in world.ledger.items.values() if i.key.startswith("alert#")}
    assert max(paged.values(), default=0) <= 1
    assert len(held) == outcome.received
    for message in world.pager.sent:
        no_card_number(message.subject, message.text)


def page_seeds() -> Iterator[bytes]:
    yield LINE.join(each for each in examples() if b"_ALERT" in each)
    yield alert_event().to_bytes()
    yield LINE.join(alert_event(number).to_bytes() for number in (1, 2, 1))


def read_cards(data: bytes) -> None:
    """A card file is read whole, and reads the same once written; or its bad lines are named."""
    try:
        cards = read_card_file(as_file(data), now=NOON)
    except CardFileError as error:
        no_card_number(str(error))
    else:
        write_card_file(scratch(), cards)
        assert read_card_file(scratch(), now=NOON) == cards


def card_seeds() -> Iterator[bytes]:
    write_card_file(scratch(), generate_cards(8, 50, 1))
    yield scratch().read_bytes()
    yield scratch().read_bytes().replace(b",", b";").replace(LINE, b"\r\n")
    yield b"\xef\xbb\xbf" + scratch().read_bytes()


@cache
def one_page() -> tuple[Page, str, dict[str, LedgerItem]]:
    """Have one alert paged; give the page, its link and the ledger."""
    office = Office()
    paged = office.paged()
    return paged, office.link(paged), office.ledger.items


def answer(data: bytes) -> None:
    """A link that nobody signed shows nothing and does nothing; no text becomes part of a page."""
    paged, good, items = one_page()
    office = Office()
    office.ledger.items |= items
    first, _, body = data.partition(LINE)
    link = good if first == b"good" else first.decode("latin-1")
    shown = answer_get(office.desk, link)
    done = answer_post(office.desk, link, body, FORM_TYPE)
    if link != good:
        assert shown.status == 403
        assert done.status in {400, 403}
        assert office.recorded(paged) == []
    assert {shown.status, done.status} <= {200, 400, 403, 422}
    assert len(office.recorded(paged)) == (done.done is not None)
    typed = parse_qs(body.decode(errors="replace")).values()
    numbers = [each for texts in typed for each in texts if holds_card_number(each)]
    for text in (shown.html, done.html, answer_get(office.desk, good).html):
        assert parts_of(text) <= known_parts()
        assert not any(number in html.unescape(text) for number in numbers)
    for event in office.events():
        no_card_number(event.data_text())


class Parts(HTMLParser):
    """Collects which tags and attributes a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, ""), *((tag, name) for name, _ in attrs)}


def parts_of(text: str) -> set[tuple[str, str]]:
    parser = Parts()
    parser.feed(text)
    return parser.found


@cache
def known_parts() -> frozenset[tuple[str, str]]:
    """What the pages are made of when people type nothing but words."""
    office = Office()
    link = office.link(office.paged())
    form = office.fill(link, act="CONFIRMED", by="Ann")
    pages = [
        office.get("no link").html,
        office.get(link).html,
        office.post(link, form | {"by": ""}).html,
        office.post(link, form).html,
        office.post(link, form, "text/plain").html,
    ]
    return frozenset().union(*map(parts_of, pages))


def answer_seeds() -> Iterator[bytes]:
    _, link, items = one_page()
    office = Office()
    office.ledger.items |= items
    form = hidden_fields(office.get(link).html)
    for typed in (
        {"act": "ACKNOWLEDGED", "by": "Ann"},
        {"act": "FALSE_POSITIVE", "by": "<b>Bo</b>", "reason": "KNOWN_CUSTOMER"},
        {"act": "CONFIRMED", "by": ""},
    ):
        yield b"good\n" + urlencode(form | typed).encode()
    yield link.encode() + LINE
    yield link[:-1].encode() + LINE + urlencode(form).encode()


def read_rules(data: bytes) -> None:
    """A file of rules is taken, or refused; the command line masks what it says of it."""
    with suppress(YamlFileError):
        read_rules_file(as_file(data))


def rules_seeds() -> Iterator[bytes]:
    yield (ROOT / "rules.yaml").read_bytes()
    yield from (path.read_bytes() for path in sorted((ROOT / "scenarios").glob("*.yaml"))[:2])


def read_mapping(data: bytes) -> None:
    """A mapping of columns is taken, or refused; the command line masks what it says of it."""
    with suppress(ImportFileError):
        parse_mapping(data.decode(errors="replace"), "mine")


def mapping_seeds() -> Iterator[bytes]:
    folder = ROOT / "src/cardwatch/imports/mappings"
    yield from (path.read_bytes() for path in sorted(folder.glob("*.yaml")))


@cache
def layout() -> Mapping:
    return find_mapping("sparkov")


class Imported:
    """What an import wrote."""

    def __init__(self) -> None:
        self.events: list[Envelope] = []
        self.refusals: list[bytes] = []

    def put(self, event: Envelope) -> None:
        self.events.append(event)


def import_table(data: bytes) -> None:
    """Every row is an event that the contract takes, or refused with a reason."""
    mapping = layout()
    imported = Imported()
    try:
        table = open_table(
            as_file(data),
            mapping.columns(),
            separator=mapping.separator,
            encoding=mapping.encoding,
        )
        report = import_rows(
            table,
            mapping,
            Tokenizer(bytes(32)),
            imported,
            now=NOON,
            start=NOON - timedelta(days=1),
            refusals=imported.refusals.append,
        )
    except ImportFileError:
        return
    assert report.rows == len(imported.events) + len(imported.refusals)
    for event in imported.events:
        assert read_event(event.to_bytes(), now=NOON) == event
        no_card_number(event.data_text())
    for line in imported.refusals:
        no_card_number(line.decode())


def table_seeds() -> Iterator[bytes]:
    yield THREE_ROWS.encode()
    yield THREE_ROWS.replace("4.97", "-4.97").replace("Moravian Falls", NUMBERS[0]).encode()


@cache
def command_line() -> TyperGroup:
    """Give the whole command line, of which no command does anything."""

    def harmless(group: TyperGroup) -> None:
        for command in group.commands.values():
            if isinstance(command, TyperGroup):
                harmless(command)
            else:
                command.callback = _take_texts

    group = get_command(app)
    assert isinstance(group, TyperGroup)
    harmless(group)
    return group


def _take_texts(**given: object) -> None:
    """Read what is given as a command would: as a time, and as a length of time."""
    for text in given.values():
        if isinstance(text, str):
            length_of_time(text)
            with suppress(BadParameter):
                read_since(text, NOON)
            with suppress(CommandError):
                read_instant("--start", text)


def read_arguments(data: bytes) -> None:
    """Words of a command line are separated by zeros, as the system gives them."""
    words = data.decode("utf-8", "surrogateescape").split("\0")[:MAX_RECORDS]
    shown = StringIO()
    with redirect_stdout(shown), redirect_stderr(shown):
        status = run_command_line(command_line(), words)
    assert status in {0, 1, 2}
    assert "; run the command with --debug" not in shown.getvalue()
    no_card_number(shown.getvalue())


def argument_seeds() -> Iterator[bytes]:
    for line in (
        "--help",
        "up --rate 200 --faults duplicates,late --cards my.txt --detach",
        "run --seconds 90 --edge connector",
        "audit --since 15m --json",
        "audit --since 2026-11-21T07:00:00Z --repair",
        "audit --since 0001-01-01T00:00:00+01:00",
        "alerts --follow --rule spend_over_limit",
        "scenarios run window_edges --from mine --show --live --patience 8m",
        "cards generate --out cards.txt",
        "snooze card:0123 --for 4h --by me --why because",
        f"replay {NUMBERS[0]}",
        f"{NUMBERS[1]} x",
    ):
        yield line.replace(" ", "\0").encode()


TARGETS = {
    "arguments": Target(read_arguments, argument_seeds),
    "record": Target(read_record, record_seeds),
    "stage": Target(stage, record_seeds),
    "page": Target(page, page_seeds),
    "cards": Target(read_cards, card_seeds),
    "answer": Target(answer, answer_seeds),
    "rules": Target(read_rules, rules_seeds),
    "mapping": Target(read_mapping, mapping_seeds),
    "table": Target(import_table, table_seeds),
}
