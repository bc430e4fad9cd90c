"""The Data API session: nothing runs twice, passing refusals are waited for, reasons are kept."""

from dataclasses import replace
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from moto import mock_aws
from tests.fake_redshift_data import Answers, FakeRedshiftData, refusal
from tests.fakes import FakeClock

from cardwatch.aws.redshift_data import NEW_RIGHTS_SECONDS, RedshiftDatabase, RedshiftDataSession
from cardwatch.warehouse.ports import StatementFailedError, WarehouseUnavailableError

CLUSTER = RedshiftDatabase("warehouse", False, "cardwatch", "arn:aws:secretsmanager:x:1:secret:a")  # noqa: FBT003
PASSING = [
    refusal("ActiveStatementsExceededException", "too many"),
    refusal("ActiveSessionsExceededException"),
    refusal("ThrottlingException", "slow down"),
    refusal("InternalServerException", status=500),
    refusal("SomethingNew", status=503),
    ConnectTimeoutError(endpoint_url="x"),
    ReadTimeoutError(endpoint_url="x"),
]
LOOKING = [
    refusal("ActiveWaitingRequestsExceededException"),
    refusal("DatabaseConnectionException"),
    refusal("QueryTimeoutException"),
    *PASSING,
]


def session(
    api: FakeRedshiftData, *, clock: FakeClock | None = None, patience: float = 60.0
) -> RedshiftDataSession:
    return RedshiftDataSession(
        cast("Any", api), CLUSTER, clock or FakeClock(), patience_seconds=patience
    )


def test_rows_come_back_as_python_values_from_every_page() -> None:
    rows: list[tuple[Any, ...]] = [("a", 1, None), ("b", 2, True), ("c", 3, 0.5)]
    api = FakeRedshiftData(Answers({"SELECT x": rows}))
    assert session(api).query("SELECT x") == rows


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_passing_refusal_of_a_submission_is_waited_for(fault: Exception) -> None:
    engine = Answers()
    api = FakeRedshiftData(engine, faults=[("batch_execute_statement", fault)] * 3)
    session(api).run(["A", "B"])
    assert engine.ran == ["A", "B"]


@pytest.mark.parametrize("operation", ["describe_statement", "get_statement_result"])
@pytest.mark.parametrize("fault", LOOKING, ids=str)
def test_a_passing_refusal_of_a_look_is_waited_for(operation: str, fault: Exception) -> None:
    api = FakeRedshiftData(Answers({"SELECT x": [(1,)]}), faults=[(operation, fault)] * 2)
    assert session(api).query("SELECT x") == [(1,)]


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_submission_whose_answer_was_lost_runs_once(fault: Exception) -> None:
    engine = Answers()
    api = FakeRedshiftData(engine, lost=[("batch_execute_statement", fault)] * 2)
    session(api).run(["A"])
    assert engine.ran == ["A"]


def test_a_refusal_that_stays_names_the_operation_and_the_reason() -> None:
    api = FakeRedshiftData(
        Answers(), faults=[("execute_statement", refusal("ValidationException", "no such secret"))]
    )
    with pytest.raises(
        WarehouseUnavailableError, match=r"execute_statement on warehouse failed: .*no such secret"
    ):
        session(api).query("SELECT 1")


def test_a_refusal_that_never_passes_ends_with_the_patience() -> None:
    clock = FakeClock()
    began = clock.monotonic()
    api = FakeRedshiftData(
        Answers(), faults=[("execute_statement", refusal("ThrottlingException"))] * 1000
    )
    with pytest.raises(WarehouseUnavailableError, match="ThrottlingException"):
        session(api, clock=clock, patience=30).query("SELECT 1")
    assert clock.monotonic() - began <= 30


def test_rights_that_are_seconds_old_are_waited_for() -> None:
    clock = FakeClock()
    denied = ("execute_statement", refusal("AccessDeniedException", "not authorized"))
    api = FakeRedshiftData(Answers(), faults=[denied] * 6)
    session(api, clock=clock).wait_until_ready(300)
    assert 0 < clock.monotonic() - FakeClock().monotonic() < NEW_RIGHTS_SECONDS


def test_what_may_not_be_asked_is_said_after_two_minutes_and_not_at_the_end() -> None:
    clock = FakeClock()
    began = clock.monotonic()
    denied = ("execute_statement", refusal("AccessDeniedException", "not authorized"))
    api = FakeRedshiftData(Answers(), faults=[denied] * 1000)
    with pytest.raises(WarehouseUnavailableError, match="not allowed: AccessDeniedException"):
        session(api, clock=clock).wait_until_ready(300)
    assert NEW_RIGHTS_SECONDS <= clock.monotonic() - began < NEW_RIGHTS_SECONDS + 30


def test_a_statement_that_may_not_be_run_is_said_at_once() -> None:
    clock = FakeClock()
    denied = ("execute_statement", refusal("AccessDeniedException", "not authorized"))
    api = FakeRedshiftData(Answers(), faults=[denied])
    with pytest.raises(WarehouseUnavailableError, match="not allowed: AccessDeniedException"):
        session(api, clock=clock).query("SELECT 1")
    assert not clock.slept


def test_a_statement_that_fails_says_which_and_why_but_not_its_text() -> None:
    api = FakeRedshiftData(Answers(refuse={"secret text": 'relation "x"\n  does not exist'}))
    with pytest.raises(StatementFailedError) as caught:
        session(api).run(["LOCK t", "secret text"])
    assert str(caught.value) == 'statement 2 of 2: ERROR: relation "x" does not exist'
    assert not caught.value.transient


@pytest.mark.parametrize(
    "text",
    ["1023 DETAIL: Serializable isolation violation on table - 1", "deadlock detected"],
)
def test_a_conflict_with_another_transaction_is_transient(text: str) -> None:
    with pytest.raises(StatementFailedError) as caught:
        session(FakeRedshiftData(Answers(refuse={"A": text}))).run(["A"])
    assert caught.value.transient


def test_a_statement_that_somebody_stopped_is_transient() -> None:
    with pytest.raises(StatementFailedError, match="was stopped") as caught:
        session(FakeRedshiftData(Answers(), aborts=1)).query("SELECT 1")
    assert caught.value.transient


def test_a_statement_that_does_not_end_is_cancelled() -> None:
    engine = Answers()
    api = FakeRedshiftData(engine, looks=10**6)
    with pytest.raises(WarehouseUnavailableError, match="within 20 s and was told to cancel"):
        session(api, patience=20).run(["A"])
    assert [operation for operation, _ in api.calls][-1] == "cancel_statement"
    assert engine.ran == []


def test_a_cancellation_that_comes_too_late_changes_nothing() -> None:
    api = FakeRedshiftData(
        Answers(), looks=10**6, faults=[("cancel_statement", refusal("ValidationException"))]
    )
    with pytest.raises(WarehouseUnavailableError, match="told to cancel"):
        session(api, patience=20).run(["A"])


@pytest.mark.parametrize(
    "fault",
    [
        refusal("ValidationException", "the cluster cw is paused"),
        refusal("ValidationException", "Redshift endpoint doesn't exist in this region."),
        refusal("ResourceNotFoundException", "cluster not found"),
        *LOOKING,
    ],
    ids=str,
)
def test_a_warehouse_that_is_not_there_yet_is_waited_for(fault: Exception) -> None:
    api = FakeRedshiftData(Answers(), faults=[("execute_statement", fault)] * 5)
    session(api).wait_until_ready(300)


def test_a_warehouse_that_refuses_connections_at_first_is_waited_for() -> None:
    engine = Answers(refuse={"SELECT 1": "connection refused"})
    api = FakeRedshiftData(engine)
    api.before_run = lambda: engine.refuse.clear() if len(api.statements) > 3 else None
    session(api).wait_until_ready(300)


def test_a_warehouse_that_never_answers_is_reported_with_its_last_reason() -> None:
    clock = FakeClock()
    began = clock.monotonic()
    fault = refusal("ValidationException", "the cluster cw is paused")
    api = FakeRedshiftData(Answers(), faults=[("execute_statement", fault)] * 1000)
    with pytest.raises(
        WarehouseUnavailableError,
        match=r"warehouse takes no statements after 120 s: .* is paused; see",
    ):
        session(api, clock=clock).wait_until_ready(120)
    assert clock.monotonic() - began <= 120


def test_a_workgroup_is_named_as_one() -> None:
    assert replace(CLUSTER, serverless=True).arguments()["WorkgroupName"] == "warehouse"
    assert CLUSTER.arguments()["ClusterIdentifier"] == "warehouse"


@pytest.mark.parametrize("database", [CLUSTER, replace(CLUSTER, serverless=True)])
def test_the_calls_have_the_api_s_own_shapes(
    database: RedshiftDatabase, aws_environment: None
) -> None:
    del aws_environment
    with mock_aws():
        # moto takes statements, and never ends them.
        waiting = RedshiftDataSession(
            boto3.client("redshift-data"), database, FakeClock(), patience_seconds=5
        )
        with pytest.raises(WarehouseUnavailableError, match="told to cancel"):
            waiting.query("SELECT 1")
