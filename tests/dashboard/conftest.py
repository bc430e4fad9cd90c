"""The dashboard over the embedded PostgreSQL of the warehouse's own tests."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psycopg
import pytest
from streamlit.testing.v1 import AppTest
from tests.warehouse.conftest import (  # noqa: F401  fixtures
    connection,
    scratch,
    server,
    stopped_server,
    warehouse,
)
from tests.warehouse.test_views import refresh, stage

from cardwatch.local.warehouse import Warehouse, WarehouseServer

ROOT = Path(__file__).parents[2]
OBJECTIVE_SECONDS = 10

Event = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What a person reads on a page."""

    app: AppTest

    @property
    def tables(self) -> dict[str, list[dict[str, str]]]:
        """Each table's rows by its caption."""
        readers = [TableReader(html.body) for html in self.app.html if "<table>" in html.body]
        return {reader.caption: reader.rows for reader in readers}

    @property
    def text(self) -> str:
        """Everything that is said beside tables and figures."""
        app = self.app
        said = (*app.info, *app.warning, *app.caption, *app.error)
        return "\n".join(element.value for element in said)

    @property
    def figures(self) -> dict[str, str]:
        return {metric.label: metric.value for metric in self.app.metric}


class TableReader(HTMLParser):
    """Reads one HTML table as a screen reader does: by its caption, header cells and rows."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self.caption = ""
        self.rows: list[dict[str, str]] = []
        self._heads: list[str] = []
        self._cells: list[str] = []
        self._at = ""
        self.feed(body)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "th":
            assert ("scope", "col") in attrs
            self._heads.append("")
        elif tag == "td":
            self._cells.append("")
        elif tag == "tr":
            self._cells = []
        if tag in {"caption", "th", "td"}:
            self._at = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._at:
            self._at = ""
        if tag == "tr" and self._cells:
            self.rows.append(dict(zip(self._heads, self._cells, strict=True)))

    def handle_data(self, data: str) -> None:
        if self._at == "caption":
            self.caption += data
        elif self._at == "th":
            self._heads[-1] += data
        elif self._at == "td":
            self._cells[-1] += data


Load = Callable[[Sequence[Event]], None]
Show = Callable[..., Told]


@pytest.fixture
def load(connection: psycopg.Connection, warehouse: Warehouse) -> Load:  # noqa: F811
    """Stage events as delivery does, and refresh the marts."""

    def load_them(events: Sequence[Event]) -> None:
        now = datetime.now(UTC)
        for event in events:
            loaded = now.replace(tzinfo=None).isoformat()
            stage(connection, {"event": event, "loaded": loaded}, now=now)
        refresh(connection, warehouse)

    return load_them


@pytest.fixture
def show(
    server: WarehouseServer,  # noqa: F811
    connection: psycopg.Connection,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Show:
    """Run a page: `show("entity.show_card", id=token)`; `source` is where else it reads."""
    assert not connection.closed

    def show_it(
        page: str, *, postgres: Path = server.folder, source: Sequence[str] = (), **query: str
    ) -> Told:
        here = [f"--postgres={postgres}", f"--status={tmp_path / 'status.json'}"]
        objective = f"--page-objective-seconds={OBJECTIVE_SECONDS}"
        monkeypatch.setattr(sys, "argv", ["dashboard", objective, *(source or here)])
        module = page.partition(".")[0]
        app = AppTest.from_string(
            f"from dashboard.views import {module}\n{page}()", default_timeout=60
        )
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert list(app.exception) == []
        return Told(app)

    return show_it
