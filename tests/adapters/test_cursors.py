"""Cursors in the control table, on moto and on the local stack."""

import pytest

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.cursors import DynamoDBCursors
from cardwatch.ports import CursorUnavailableError, SavedCursor


def test_a_cursor_that_was_never_saved_is_none(aws: AwsClients, control_table: str) -> None:
    assert DynamoDBCursors(aws.dynamodb(), control_table).read("accounts") is None


def test_a_cursor_is_what_was_saved_last_each_apart(aws: AwsClients, control_table: str) -> None:
    cursors = DynamoDBCursors(aws.dynamodb(), control_table)
    first = cursors.save("accounts", "one", after=None)
    assert first is not None
    second = cursors.save("accounts", "two", after=first)
    cursors.save("others", "three", after=None)
    assert cursors.read("accounts") == second == SavedCursor("two", 2)
    assert cursors.read("others") == SavedCursor("three", 1)


def test_of_two_runs_that_read_the_same_cursor_one_saves(
    aws: AwsClients, control_table: str
) -> None:
    cursors = DynamoDBCursors(aws.dynamodb(), control_table)
    first = cursors.save("accounts", "one", after=None)
    assert cursors.save("accounts", "another", after=None) is None
    assert cursors.save("accounts", "further", after=first) is not None
    assert cursors.save("accounts", "back", after=first) is None
    assert cursors.read("accounts") == SavedCursor("further", 2)


def test_a_cursor_that_was_removed_is_not_written_back_by_a_run_that_read_it(
    aws: AwsClients, control_table: str
) -> None:
    cursors = DynamoDBCursors(aws.dynamodb(), control_table)
    saved = cursors.save("accounts", "one", after=None)
    aws.dynamodb().delete_item(TableName=control_table, Key={"pk": {"S": "cursor|accounts"}})
    assert cursors.save("accounts", "two", after=saved) is None
    assert cursors.read("accounts") is None


def test_a_table_that_is_not_there_is_named(aws: AwsClients) -> None:
    cursors = DynamoDBCursors(aws.dynamodb(), "nowhere")
    with pytest.raises(CursorUnavailableError, match="accounts in nowhere cannot be read"):
        cursors.read("accounts")
    with pytest.raises(CursorUnavailableError, match="accounts in nowhere cannot be saved"):
        cursors.save("accounts", "one", after=None)
