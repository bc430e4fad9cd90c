"""What people give to replay: any name, a folder, several .gz, events end to end."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardwatch.local import replay_input
from cardwatch.local.replay_input import InputError, events_of, one_event_per_line


def event(number: int, *, text: str = "}{ Zürich") -> bytes:
    data = {"payment_id": f"p{number}", "city": text}
    envelope = {"type": "PAYMENT_EVENT", "event_id": f"e{number}", "event_json_data": data}
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()


def prepared(given: Path, tmp_path: Path) -> list[bytes]:
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    path = one_event_per_line(given, work)
    assert path.name in {"events.jsonl", "events.jsonl.gz"}
    body = path.read_bytes()
    lines = (gzip.decompress(body) if path.suffix == ".gz" else body).split(b"\n")
    path.unlink()
    return [line for line in lines if line]


FIVE = [event(n) for n in range(5)]


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n", b" ", b"\n\n"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ["events.jsonl", "cardwatch-backup-1-2026-11-21-07", "a.json.gz"])
def test_five_events_are_five_however_they_are_joined_packed_and_named(
    tmp_path: Path, name: str, between: bytes, *, packed: bool
) -> None:
    source = tmp_path / name
    body = between.join(FIVE)
    source.write_bytes(gzip.compress(body) if packed else body)
    assert [line.strip() for line in prepared(source, tmp_path)] == FIVE


def test_a_folder_is_read_in_the_order_of_its_names_packed_and_plain_together(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "backup"
    (folder / "2026/11/21/07").mkdir(parents=True)
    (folder / "2026/11/21/08").mkdir()
    (folder / "2026/11/21/08/a").write_bytes(gzip.compress(event(3)) + gzip.compress(event(4)))
    (folder / "2026/11/21/07/b.gz").write_bytes(gzip.compress(event(1) + event(2)))
    (folder / "2026/11/21/07/a.txt").write_bytes(event(0))
    (folder / "2026/11/21/09").write_bytes(b"")
    (folder / ".DS_Store").write_bytes(b"\0\0")
    assert prepared(folder, tmp_path) == FIVE


def test_a_file_of_lines_is_not_written_anew(tmp_path: Path) -> None:
    source = tmp_path / "export.txt"
    source.write_bytes(b"\n".join(FIVE))
    path = one_event_per_line(source, tmp_path)
    assert path.resolve() == source


@pytest.mark.parametrize("end", [b'{"type":"PAYMENT_EVENT","eve', b"oops", b"\xff\xfe", b"{\xff}"])
def test_what_is_no_event_hides_no_neighbour(tmp_path: Path, end: bytes) -> None:
    source = tmp_path / "backup"
    source.write_bytes(event(0) + event(1) + end + event(2) + b"\n" + end + b"\n" + event(3))
    found = list(events_of(source))
    assert [each for each in found if each in FIVE] == FIVE[:4]
    assert len(found) == 6


@given(st.lists(st.sampled_from([b"", b"\n", b" ", b"\r\n"]), min_size=40, max_size=40))
def test_events_that_reach_over_the_end_of_what_is_read_at_once_are_whole(
    tmp_path_factory: pytest.TempPathFactory, between: list[bytes]
) -> None:
    source = tmp_path_factory.mktemp("in") / "backup"
    events = [event(n, text="x" * (n * 7 % 50)) for n in range(40)]
    source.write_bytes(b"".join(e + b for e, b in zip(events, between, strict=True)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_input, "CHUNK_BYTES", 64)
        assert list(events_of(source)) == events


def test_a_long_input_that_never_ends_an_event_is_given_in_pieces(tmp_path: Path) -> None:
    source = tmp_path / "noise"
    source.write_bytes(b'{"a":"' + b"x" * (20 << 20))
    pieces = list(events_of(source))
    assert sum(map(len, pieces)) == (20 << 20) + 6
    assert len(pieces) > 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is empty"),
        (gzip.compress(b""), "holds no event"),
        (b"\n \n", "holds no event"),
        (b"id,amount\n1,2\n", "holds no event"),
    ],
)
def test_an_input_without_an_event_is_said_to_be_empty(
    tmp_path: Path, body: bytes, said: str
) -> None:
    source = tmp_path / "events.jsonl.gz"
    source.write_bytes(body)
    with pytest.raises(InputError, match=said):
        prepared(source, tmp_path)


def test_a_folder_without_a_file_and_a_path_that_is_not_there_are_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for given_path, said in ((tmp_path / "empty", "is empty"), (tmp_path / "none", "No such file")):
        with pytest.raises(InputError, match=said):
            prepared(given_path, tmp_path)


def test_a_packed_file_that_breaks_off_is_said(tmp_path: Path) -> None:
    source = tmp_path / "cut"
    source.write_bytes(gzip.compress(b"".join(FIVE))[:-9])
    with pytest.raises(InputError, match="cannot read"):
        prepared(source, tmp_path)
