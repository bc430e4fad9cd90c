"""Checking a file's lines in several processes finds what one would find, in the same order."""

import gzip
import io
import json
import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardwatch.contract.streams import RejectedRecord, read_event
from cardwatch.local import line_check
from cardwatch.local.line_check import (
    CheckEndedError,
    Rejection,
    UnreadableError,
    check_lines,
)

HEARTBEAT = json.dumps(
    {
        "type": "HEARTBEAT",
        "event_id": "beat",
        "schema_version": 1,
        "event_date_origin": "2026-01-15T10:00:00.000Z",
        "event_json_data": {"source": "test"},
    }
).encode()


def alone(content: bytes) -> tuple[int, list[Rejection]]:
    """Check the lines one after the other, as Python reads lines from a file."""
    number, found = 0, []
    for number, line in enumerate(io.BytesIO(content), start=1):
        if not line.strip():
            continue
        try:
            read_event(line.removesuffix(b"\n"), now=datetime.now(UTC))
        except RejectedRecord as error:
            found.append(Rejection(number, error.reason, error.detail))
    return number, found


def together(path: Path, block_bytes: int) -> tuple[int, list[Rejection]]:
    blocks = list(check_lines(path, processes=2, block_bytes=block_bytes))
    return sum(b.lines for b in blocks), [r for b in blocks for r in b.rejections]


LINE = st.sampled_from([HEARTBEAT, b"", b"{", b"[]", b"{}", b"\xff"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines")


@given(
    lines=st.lists(LINE, max_size=40),
    ends=st.booleans(),
    zipped=st.booleans(),
    block_bytes=st.integers(1, 600),
)
def test_any_file_in_any_blocks_gives_what_one_process_finds_in_the_files_order(
    folder: Path, *, lines: list[bytes], ends: bool, zipped: bool, block_bytes: int
) -> None:
    content = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    path = folder / ("events.jsonl.gz" if zipped else "events.jsonl")
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert together(path, block_bytes) == alone(content)


def test_a_file_that_breaks_off_gives_what_stands_before_and_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    path.write_bytes(gzip.compress((HEARTBEAT + b"\n{\n") * 50_000)[:-20])
    given: list[int] = []
    with pytest.raises(UnreadableError, match="end-of-stream"):
        given.extend(block.lines for block in check_lines(path, block_bytes=10_000))
    assert sum(given) > 40_000


def test_a_checking_process_that_is_killed_ends_the_check(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n" * 10_000)
    blocks = check_lines(path, processes=2, block_bytes=3_000)
    next(blocks)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(CheckEndedError):
        list(blocks)


def test_what_goes_wrong_in_a_checking_process_is_raised_where_it_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(line: bytes, *, now: datetime) -> None:
        raise OverflowError(line, now)

    monkeypatch.setattr(line_check, "read_event", fails)
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n")
    with pytest.raises(OverflowError, match=r"\{\}"):
        list(check_lines(path))
    assert not multiprocessing.active_children()
