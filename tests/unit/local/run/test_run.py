import psycopg

from cardwatch.local.firehose.delivery import UnreachableError
from cardwatch.local.run.run import read_to_judge
from cardwatch.warehouse.ports import WarehouseUnavailableError


def test_whatever_keeps_a_run_from_reading_what_it_is_judged_by_is_named_on_one_line() -> None:
    unread: list[str] = []
    for error in (
        WarehouseUnavailableError("PostgreSQL does\nnot answer"),
        UnreachableError("the bucket is away"),
        psycopg.OperationalError("terminated"),
        OSError("disk"),
    ):

        def fail(error: Exception = error) -> int:
            raise error

        assert read_to_judge("the rows", fail, 0, unread) == 0
    assert unread[0] == "the rows could not be read (PostgreSQL does not answer)"
    assert len(unread) == 4


def test_what_can_be_read_is_judged_as_it_is() -> None:
    unread: list[str] = []
    assert read_to_judge("the rows", lambda: 7, 0, unread) == 7
    assert unread == []
