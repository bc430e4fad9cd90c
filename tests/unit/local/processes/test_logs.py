from pathlib import Path

from cardwatch.local.processes.logs import cap_log, cap_logs


def test_a_log_that_is_not_too_long_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 10)
    assert cap_log(log, most=10) == 0
    assert log.read_bytes() == b"x" * 10
    assert cap_log(tmp_path / "none.log") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


def test_a_log_that_is_too_long_is_moved_aside_under_its_writer_who_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 11)
        assert cap_log(log, most=10) == 0
        writer.write(b"news\n")
    first, *rest = log.read_bytes().splitlines()
    assert first == b"cardwatch: goes on from a.log.1; 0 bytes before it gone"
    assert rest == [b"news"]
    assert (tmp_path / "a.log.1").read_bytes() == b"x" * 11


def test_a_log_and_its_older_part_stay_short_for_ever_and_what_is_gone_is_counted(
    tmp_path: Path,
) -> None:
    log, written, gone = tmp_path / "a.log", 0, 0
    for _ in range(50):
        with log.open("ab") as writer:
            written += writer.write(b"a line of the program\n" * 10)
        gone += cap_logs(tmp_path, most=1000)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3000
    texts = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"cardwatch: goes on" in log.read_bytes()
    assert written > texts.count(b"a line") * len(b"a line of the program\n") > 0
    assert gone > written - 3000
