import gzip
import os
import stat
from pathlib import Path

import pytest

from cardwatch.files import BinaryFile, replace, whole_file


def test_until_it_is_whole_a_file_is_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    replace(path, "old\n")
    with whole_file(path) as file:
        file.write(b"new")
        assert path.read_text() == "old\n"
    assert path.read_text() == "new"
    replace(path, b"durable", durable=True)
    assert path.read_text() == "durable"
    assert list(path.parent.iterdir()) == [path]


def cut_short(file: BinaryFile) -> None:
    file.write(b"half of")
    msg = "no space left"
    raise OSError(msg)


@pytest.mark.parametrize("name", ["file", "file.gz"])
def test_of_a_file_that_an_error_cut_short_nothing_is_left(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    replace(path, "old")
    before = path.read_bytes()
    with pytest.raises(OSError, match="no space"), whole_file(path) as file:
        cut_short(file)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["file", "file.gz"])
def test_where_nothing_was_written_the_old_file_stays_if_it_is_so_asked(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    replace(path, "old")
    before = path.read_bytes()
    with whole_file(path, even_empty=False):
        pass
    assert path.read_bytes() == before
    with whole_file(path):
        pass
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


def test_compressed_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.gz", tmp_path / "other.gz"
    for path in (one, other):
        replace(path, "content")
    assert one.read_bytes() == other.read_bytes()
    assert gzip.decompress(one.read_bytes()) == b"content"
    header_time = one.read_bytes()[4:8]
    assert header_time == bytes(4)


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        replace(pipe, "through it")
        assert os.read(reader, 100) == b"through it"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
