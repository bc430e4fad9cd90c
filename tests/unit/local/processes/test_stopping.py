"""A stop asked for at any moment ends a command, and leaves no process that it started."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from cardwatch.local.line_check import check_lines
from cardwatch.local.processes.stopping import (
    StopRequested,
    stop_held,
    stop_if_asked,
    stop_on_signals,
)

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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_that_was_dropped_is_asked_again_at_the_next_turn() -> None:
    class Ends:
        def __del__(self) -> None:
            ask()

    def command() -> None:
        Ends()  # Python drops what is raised in its end
        stop_if_asked()

    with pytest.raises(StopRequested), stop_on_signals():
        command()


def test_one_who_waits_while_it_holds_stops_at_its_next_turn_and_only_once() -> None:
    done = []

    def command() -> None:
        try:
            with stop_held():
                ask()
                stop_if_asked()
                done.append("too late")
        finally:
            with stop_held():
                done.append("cleaned")
            done.append("up")

    with pytest.raises(StopRequested), stop_on_signals():
        command()
    assert done == ["cleaned", "up"]
    stop_if_asked()


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


def test_checking_processes_that_get_no_time_hold_no_stop_up(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"{}\n" * 10_000)
    before = set(psutil.Process().children(recursive=True))

    def checking() -> set[psutil.Process]:
        return set(psutil.Process().children(recursive=True)) - before

    def command() -> None:
        with closing(check_lines(file, processes=2, block_bytes=3_000)) as blocks:
            next(blocks)
            for process in checking():
                process.suspend()
            ask()

    with pytest.raises(StopRequested), stop_on_signals():
        command()
    assert not checking()
