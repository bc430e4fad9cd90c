"""A stop asked for at any moment ends a command, and leaves no process that it started."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cardwatch.local.line_check import check_lines
from cardwatch.local.processes.stopping import StopRequested, stop_held, stop_on_signals

_at_fork: list[Callable[[], None]] = []
os.register_at_fork(after_in_parent=lambda: [hook() for hook in _at_fork])


@pytest.fixture(autouse=True)
def _no_hooks() -> Iterator[None]:
    yield
    _at_fork.clear()


def ask() -> None:
    signal.raise_signal(signal.SIGTERM)


def test_what_is_held_is_done_whole_and_the_stop_comes_after() -> None:
    done = []

    def command() -> None:
        with stop_held():
            with stop_held():
                ask()
                done.append("inner")
            done.append("outer")
        done.append("too late")

    with pytest.raises(StopRequested), stop_on_signals():
        command()
    assert done == ["inner", "outer"]


def test_one_who_stops_already_is_not_asked_again_at_each_step_of_it() -> None:
    done = []

    def command() -> None:
        try:
            ask()
        finally:
            with stop_held():
                ask()
            done.append("stopped")

    with pytest.raises(StopRequested), stop_on_signals():
        command()
    assert done == ["stopped"]


def test_a_stop_in_one_command_is_none_in_the_next() -> None:
    with pytest.raises(StopRequested), stop_on_signals():
        ask()
    with stop_on_signals(), stop_held():
        pass


def test_a_thread_that_holds_does_not_keep_the_command_from_its_stop() -> None:
    holding, go = threading.Event(), threading.Event()

    def hold() -> None:
        with stop_held():
            holding.set()
            go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait()
    try:
        with pytest.raises(StopRequested), stop_on_signals():
            ask()
    finally:
        go.set()
        thread.join()


@pytest.mark.parametrize("fork", [1, 2])
def test_a_stop_in_a_fork_of_the_checking_processes_is_neither_lost_nor_leaves_one(
    tmp_path: Path, fork: int
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"{}\n")
    forks = 0

    def ask_at_the_fork() -> None:
        nonlocal forks
        forks += 1
        if forks == fork:
            ask()

    before = set(psutil.Process().children(recursive=True))
    _at_fork.append(ask_at_the_fork)
    with pytest.raises(StopRequested), stop_on_signals():
        list(check_lines(file, processes=2))
    assert forks == 2
    assert not set(psutil.Process().children(recursive=True)) - before
