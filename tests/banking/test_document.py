"""What docs/accounts.md tells a person at a bank to do, done."""

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
from tests.banking.conftest import READER
from tests.banking.test_postgres import add
from tests.unit.banking.support import FakeCursors, FakeStream

from cardwatch.banking.ports import Bank
from cardwatch.banking.publishing import Publishing
from cardwatch.banking.transactions import transactions
from cardwatch.cards.tokenizer import Tokenizer
from cardwatch.clock import SystemClock
from cardwatch.ports import SavedCursor

DOCUMENT = (Path(__file__).parents[2] / "docs/accounts.md").read_text(encoding="utf-8")
TABLES, GRANTS = re.findall(r"^```sql\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
[CURSOR] = re.findall(r'"text": \{"S": "(.*?)"\}\}\'', DOCUMENT)


def test_with_its_tables_and_its_grants_and_no_other_right_everything_is_read(
    people: Callable[[], psycopg.Connection[Any]],
    bank: Callable[..., AbstractContextManager[Bank]],
) -> None:
    with people() as owner:
        owner.execute("DROP SCHEMA banking CASCADE")
        owner.execute(TABLES)
        owner.execute(re.sub(r"\bcardwatch\b", READER, GRANTS))
        owner.execute(f"GRANT SELECT ON banking.transactions TO {READER}")
        add(owner, "acc_1")
    stream = FakeStream()
    # A cursor as the document writes one, of the far past here.
    text = CURSOR.replace('\\"', '"').replace("2026", "2020")
    time.sleep(1.1)
    report = Publishing(
        connect=lambda: bank(READER),
        stream=stream,
        cursors=FakeCursors({"transactions|changes": SavedCursor(text, 1)}),
        clock=SystemClock(),
        period=timedelta(minutes=15),
        most_again=10,
        transactions=transactions(Tokenizer(b"k" * 32)),
    ).run(lambda: True)
    assert not report.blind
    assert {entry.partition_key for entry in stream.entries} == {"acc_1"}


def test_its_tables_are_those_that_one_machine_has() -> None:
    assert files("cardwatch.banking").joinpath("tables.sql").read_text().strip() == TABLES.strip()
