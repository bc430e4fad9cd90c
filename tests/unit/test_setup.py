import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tools.setup import (
    Environment,
    Interpreter,
    environments,
    no_ensurepip,
    no_interpreter,
    pick,
    probe,
    set_up,
    stamp_of,
    up_to_date,
)

P311 = Interpreter("/usr/bin/python3.11", (3, 11, 7), ensurepip=True)
P312 = Interpreter("/opt/python3.12", (3, 12, 1), ensurepip=True)
P313 = Interpreter("/usr/bin/python3.13", (3, 13, 0), ensurepip=True)
P313_BARE = Interpreter("/usr/bin/python3.13", (3, 13, 0), ensurepip=False)
P310 = Interpreter("/usr/bin/python3.10", (3, 10, 13), ensurepip=True)
ALL = ("3.12", "3.11", "3.13")
FLINK = ("3.12", "3.11")


def test_the_python_that_runs_set_up_is_used_where_it_fits() -> None:
    assert pick([P313, P312, P311], ALL) is P313
    assert pick([P311, P312], FLINK) is P311


def test_flink_gets_another_python_when_set_up_runs_on_one_it_has_no_wheels_for() -> None:
    assert pick([P313, P311, P312], FLINK) is P312
    assert pick([P313, P311], FLINK) is P311


def test_no_python_fits() -> None:
    assert pick([P313], FLINK) is None
    assert pick([P310], ALL) is None
    assert pick([], ALL) is None


def test_a_python_that_cannot_make_environments_does_not_bootstrap() -> None:
    assert pick([P313_BARE, P311], ALL, ensurepip=True) is P311
    assert pick([P313_BARE], ALL, ensurepip=True) is None


def test_the_message_names_what_is_wanted_what_was_found_and_the_remedy() -> None:
    text = no_interpreter([P313, P310], FLINK, "flink", "apache-flink has wheels for")
    assert "3.11 or 3.12" in text
    assert "3.13.0 (/usr/bin/python3.13), 3.10.13" in text
    assert "apt install python3.12" in text
    assert "\n" not in text


def test_a_python_without_ensurepip_is_one_line_with_the_package_to_install() -> None:
    text = no_ensurepip([P313_BARE])
    assert "apt install python3.13-venv" in text
    assert "\n" not in text
    assert "apt install python3.12" in no_ensurepip([P310])


def test_a_shim_that_exists_and_fails_is_no_python(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'python3.12: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert probe(str(shim)) is None
    assert probe(str(tmp_path / "nothing")) is None


def test_this_python_answers_with_its_version() -> None:
    answer = probe(sys.executable)
    assert answer is not None
    assert answer.version == sys.version_info[:3]


def environment(root: Path) -> Environment:
    made = Environment("tool", root / "tool", root / "tool.txt")
    made.lock.write_text("tool==1\n")
    made.python.parent.mkdir(parents=True)
    made.python.touch()
    stamp = stamp_of(made, sys.executable)
    made.stamp_file.write_text(json.dumps(stamp))
    return made


def test_an_environment_is_left_alone_while_lock_and_python_are_the_same(tmp_path: Path) -> None:
    assert up_to_date(environment(tmp_path))


def test_a_changed_lock_is_installed_again(tmp_path: Path) -> None:
    made = environment(tmp_path)
    made.lock.write_text("tool==2\n")
    assert not up_to_date(made)


def test_an_environment_whose_python_went_away_is_made_again(tmp_path: Path) -> None:
    made = environment(tmp_path)
    stamp = json.loads(made.stamp_file.read_text())
    made.stamp_file.write_text(json.dumps({**stamp, "python": str(tmp_path / "gone")}))
    assert not up_to_date(made)


def test_a_set_up_that_was_broken_off_starts_again(tmp_path: Path) -> None:
    made = environment(tmp_path)
    made.stamp_file.write_text("{")
    assert not up_to_date(made)
    made.stamp_file.unlink()
    assert not up_to_date(made)


def test_a_development_environment_stays_one_when_a_run_is_asked_for(tmp_path: Path) -> None:
    locks = tmp_path / "requirements"
    locks.mkdir()
    (locks / "cardwatch.txt").touch()
    (locks / "dev.txt").touch()

    def lock_for(only: str) -> str:
        (main,) = (e for e in environments(tmp_path, only) if e.name == "cardwatch")
        return main.lock.name

    assert lock_for("run") == "cardwatch.txt"
    assert lock_for("dev") == "dev.txt"
    stamp = tmp_path / ".venv" / "cardwatch-setup.json"
    stamp.parent.mkdir()
    stamp.write_text('{"lock": "dev.txt"}')
    assert lock_for("run") == "dev.txt"


@pytest.mark.parametrize("only", ["run", "dev"])
def test_every_environment_has_a_lock_in_the_repository(only: str) -> None:
    root = Path(__file__).parents[2]
    running = {"cardwatch", "dashboard", "flink", "ministack", "sam"}
    checking = {"checkov"} if only == "dev" else set()
    assert {e.name for e in environments(root, only)} == running | checking
    for each in environments(root, only):
        assert each.lock.is_file()
        assert "--hash=sha256:" in each.lock.read_text()
        assert "://" not in each.lock.read_text()


@pytest.mark.parametrize("only", ["run", "dev"])
def test_where_everything_is_set_up_it_starts_no_program_and_asks_no_network(
    only: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*command: object, **_: object) -> None:
        raise AssertionError(command)

    # Sockets are blocked in unit tests; what would ask for set-up is another program.
    monkeypatch.setattr(subprocess, "Popen", fail)
    set_up(only)


@pytest.mark.parametrize("name", ["cardwatch", "dashboard", "flink", "ministack"])
def test_an_environment_holds_the_byte_code_of_all_its_packages(name: str) -> None:
    """What a start would have to compile, and not even keep where Python may write none."""
    root = Path(__file__).parents[2]
    (made,) = (e for e in environments(root, "run") if e.name == name)
    (packages,) = made.folder.glob("lib/python*/site-packages")
    minor = packages.parent.name.removeprefix("python").replace(".", "")
    without = []
    for source in packages.rglob("*.py"):
        cached = source.parent / "__pycache__" / f"{source.stem}.cpython-{minor}.pyc"
        facts = source.stat()
        wanted = struct.pack("<4xLL", int(facts.st_mtime), facts.st_size)
        if not cached.exists() or head(cached)[4:] != wanted:
            without.append(source)
    # Some packages bring files that are Python 2's, or templates.
    assert [source for source in without if compiles(source)] == []
    assert len(list(packages.rglob("*.pyc"))) > 100


def compiles(source: Path) -> bool:
    try:
        compile(source.read_bytes(), source, "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def head(cached: Path) -> bytes:
    with cached.open("rb") as file:
        return file.read(16)
