"""One embedded PostgreSQL for all tests of the bank's database, with tables anew for each."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cardwatch.banking.ports import Bank
from cardwatch.local.bank import DATABASE, BankDatabase
from cardwatch.local.warehouse import SESSION_OPTIONS, WarehouseServer
from cardwatch.postgres import connected

SETTLE = timedelta(seconds=60)
READER = "cardwatch_reader"


@pytest.fixture(scope="session")
def server() -> Iterator[WarehouseServer]:
    """A running server, in a folder that the server's own user may enter."""
    with tempfile.TemporaryDirectory(prefix="cardwatch-") as folder:
        server = WarehouseServer(Path(folder) / "postgres")
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def database(server: WarehouseServer) -> Iterator[BankDatabase]:
    """A bank without accounts, and without the reader's rights."""
    database = BankDatabase(server)
    database.open([])
    yield database
    with server.connect(database=DATABASE) as owner:
        query = "SELECT 1 FROM pg_roles WHERE rolname = %s"
        if owner.execute(query, (READER,)).fetchone() is not None:
            owner.execute(f"DROP OWNED BY {READER}")
            owner.execute(f"DROP ROLE {READER}")


@pytest.fixture
def people(server: WarehouseServer, database: BankDatabase) -> Iterator[Callable[[], Any]]:
    """Connections of the bank's own people, as many as are asked for."""
    assert database.dsn()
    opened: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        opened.append(server.connect(database=DATABASE))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def bank(database: BankDatabase) -> Callable[..., AbstractContextManager[Bank]]:
    """The bank as cardwatch connects to it, as the owner or as somebody else."""

    def connect(user: str | None = None) -> AbstractContextManager[Bank]:
        if user is not None:
            return connected(f"{database.dsn()} user={user}", settle=SETTLE)
        return connected(database.dsn(), settle=SETTLE, options=SESSION_OPTIONS)

    return connect
