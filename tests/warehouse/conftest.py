"""One embedded PostgreSQL for all tests of the warehouse, with empty tables for each."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from cardwatch.local.redshift_dialect import REDSHIFT_FUNCTIONS
from cardwatch.local.warehouse import Warehouse, WarehouseServer
from cardwatch.warehouse.schema import AUDITOR, LOADER, READER


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder outside pytest's own, which other users, the server's one too, must not enter."""
    with tempfile.TemporaryDirectory(prefix="cardwatch-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def server(scratch: Path) -> Iterator[WarehouseServer]:
    """A running server with the warehouse's definitions."""
    server = WarehouseServer(scratch / "postgres")
    server.start()
    try:
        with server.connect() as owner:
            owner.autocommit = True
            # Nobody pulls this machine's plug, and emptying all tables waits for the disk.
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                owner.execute(f"ALTER SYSTEM SET {setting} = off".encode())
            owner.execute("SELECT pg_reload_conf()")
        warehouse = Warehouse(server)
        warehouse.define()
        warehouse.close()
        yield server
    finally:
        server.stop()


@pytest.fixture
def connection(server: WarehouseServer) -> Iterator[psycopg.Connection]:
    """A connection of the test's own, in a warehouse without rows."""
    with server.connect() as connection:
        connection.autocommit = True
        warehouse = Warehouse(server)
        warehouse.empty()
        warehouse.close()
        yield connection


@pytest.fixture
def warehouse(server: WarehouseServer, connection: psycopg.Connection) -> Iterator[Warehouse]:
    """An empty warehouse."""
    assert not connection.closed
    warehouse = Warehouse(server)
    yield warehouse
    warehouse.close()


@pytest.fixture
def stopped_server(scratch: Path) -> Iterator[WarehouseServer]:
    """A server of the test's own, not started."""
    server = WarehouseServer(scratch / str(uuid4()))
    yield server
    server.stop()


@pytest.fixture
def database(server: WarehouseServer) -> Iterator[psycopg.Connection[Any]]:
    """An empty database, and no users but the owner when it is over."""
    name = f"redshift_{uuid4().hex[:8]}"
    with server.connect() as owner:
        owner.autocommit = True
        owner.execute(f"CREATE DATABASE {name}".encode())
        with psycopg.connect(server.uri(), dbname=name) as connection:
            connection.autocommit = True
            connection.execute(REDSHIFT_FUNCTIONS)
            connection.execute("CREATE VIEW svv_roles AS SELECT rolname AS role_name FROM pg_roles")
            connection.execute(
                "CREATE TABLE sys_load_error_detail (start_time timestamp, file_name text,"
                " line_number int, column_name text, error_code int)"
            )
            yield connection
        owner.execute(f"DROP DATABASE {name} (FORCE)".encode())
        for role in (AUDITOR, LOADER, READER):
            owner.execute(f"DROP ROLE IF EXISTS {role}".encode())
