"""The application's life through stacks that are made, changed, rolled back and deleted."""

from datetime import timedelta

import pytest
from botocore.exceptions import ConnectTimeoutError, NoCredentialsError
from tests.fakes import NOON, FakeClock
from tests.managed_flink import (
    GROUPS,
    NAME,
    STATUSES,
    STOPPED,
    App,
    CloudFormation,
    FakeManagedFlink,
    Snapshot,
    StackFailedError,
    ask,
)

from cardwatch.deployment.flink_application import NEW_ROLE_SECONDS


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service(clock: FakeClock) -> FakeManagedFlink:
    return FakeManagedFlink(clock)


@pytest.fixture
def stack(service: FakeManagedFlink, clock: FakeClock) -> CloudFormation:
    return CloudFormation(service, clock)


def app(service: FakeManagedFlink) -> App:
    return service.apps[NAME]


# ---------- made ----------


def test_a_new_application_is_started_and_reads_from_trim_horizon(
    stack: CloudFormation, service: FakeManagedFlink, clock: FakeClock
) -> None:
    stack.deploy("v1")
    assert app(service).status == "RUNNING"
    assert app(service).jobs == ["TRIM_HORIZON"]
    assert service.calls == ["start_application"]
    assert clock.now() - NOON >= timedelta(seconds=service.start_seconds)


def test_a_second_deploy_with_nothing_changed_asks_for_nothing(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    events, calls = list(stack.events), list(service.calls)
    stack.deploy("v1")
    assert (stack.events, service.calls) == (events, calls)


def test_a_new_application_that_does_not_start_says_why_and_where_to_look(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    service.broken.add("v1")
    with pytest.raises(StackFailedError) as raised:
        stack.deploy("v1")
    for part in (NAME, "does not start", "broken code", "log group detection-logs", "PythonDriver"):
        assert part in str(raised.value)
    assert NAME not in service.apps
    assert stack.events == ["Create PAUSED", "Create RUNNING", "Delete RUNNING", "Delete PAUSED"]


def test_a_failed_start_is_noticed_without_operation_ids_too(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    service.operation_ids = False
    service.broken.add("v1")
    with pytest.raises(StackFailedError, match="gives no reason"):
        stack.deploy("v1")


# ---------- changed ----------


def test_changed_code_goes_on_from_the_snapshot_that_stopping_takes(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    stack.deploy("v2")
    assert app(service).status == "RUNNING"
    assert app(service).code == "v2"
    assert app(service).jobs == ["TRIM_HORIZON", "snapshot"]
    assert service.calls == ["start_application", "stop_application", "start_application"]
    assert stack.events[2:] == ["Update PAUSED", "Update RUNNING", "Delete PAUSED"]


def test_the_newest_complete_snapshot_of_many_is_the_one_that_counts(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    old = [Snapshot(NOON - timedelta(days=day), "v0") for day in (3, 1, 2)]
    app(service).snapshots = [*old, Snapshot(NOON + timedelta(days=1), "v9", "FAILED")]
    service.fits = lambda _snapshot, _code: False
    service.no_snapshot = True
    stack.deploy("v2")
    begin = "2026-11-20T10:40:00.000Z"  # a day before noon, and 80 minutes
    assert app(service).jobs[-1] == f"AT_TIMESTAMP {begin}"


def test_state_that_does_not_fit_is_left_and_the_job_looks_back_from_the_snapshot(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.fits = lambda snapshot, code: snapshot == code
    stack.deploy("v2")
    [snapshot] = app(service).snapshots
    begin = (snapshot.taken - timedelta(seconds=4800)).isoformat(timespec="milliseconds")
    assert app(service).jobs == [
        "TRIM_HORIZON",
        f"AT_TIMESTAMP {begin.replace('+00:00', 'Z')}",
    ]
    assert app(service).status == "RUNNING"


def test_looking_back_changes_where_to_read_from_and_no_other_property(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.fits = lambda snapshot, code: snapshot == code
    stack.deploy("v2")
    groups = app(service).groups
    for group, values in GROUPS.items():
        changed = {key for key, value in values.items() if groups[group][key] != value}
        assert changed == (
            {"start_position", "start_timestamp"} if group == "cardwatch.edge" else set()
        )
        assert set(groups[group]) == set(values)


def test_a_restore_that_never_ends_is_given_up_at_half_time_and_looked_back(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.stuck.add("v2")
    stack.deploy("v2")
    assert app(service).status == "RUNNING"
    assert app(service).jobs[-1].startswith("AT_TIMESTAMP")


def test_a_snapshot_that_the_service_refuses_to_restore_is_looked_back_from(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.errors["start_application"] = ["InvalidApplicationConfigurationException"]
    stack.deploy("v2")
    assert app(service).jobs[-1].startswith("AT_TIMESTAMP")


def test_an_application_that_cannot_take_a_snapshot_is_stopped_without(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.no_snapshot = True
    stack.deploy("v2")
    assert app(service).status == "RUNNING"
    assert app(service).jobs == ["TRIM_HORIZON", "TRIM_HORIZON"]
    assert service.calls.count("stop_application") == 2


def test_a_stop_that_hangs_is_forced_at_half_time(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.hangs = True
    stack.deploy("v2")
    assert app(service).status == "RUNNING"


def test_an_application_that_a_person_stopped_is_started_by_the_next_change(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    app(service).status = "READY"
    stack.deploy("v2")
    assert app(service).status == "RUNNING"


def test_a_change_waits_for_one_that_is_under_way(
    stack: CloudFormation, service: FakeManagedFlink, clock: FakeClock
) -> None:
    stack.deploy("v1")
    app(service).status = "AUTOSCALING"

    def scaled() -> None:
        app(service).status = "RUNNING"

    service._pending[NAME] = (clock.now() + timedelta(seconds=40), scaled)  # noqa: SLF001
    stack.deploy("v2")
    assert app(service).jobs[-1] == "snapshot"


# ---------- rolled back ----------


def test_code_that_does_not_start_is_rolled_back_to_the_running_one(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.broken.add("v2")
    with pytest.raises(StackFailedError) as raised:
        stack.deploy("v2")
    for part in ("neither from its snapshot of", "nor without state from", "broken code"):
        assert part in str(raised.value)
    assert app(service).status == "RUNNING"
    assert app(service).code == "v1"
    assert app(service).jobs == ["TRIM_HORIZON", "snapshot"]


def test_the_next_deploy_after_a_rollback_works(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.broken.add("v2")
    with pytest.raises(StackFailedError):
        stack.deploy("v2")
    stack.deploy("v3")
    assert (app(service).status, app(service).code) == ("RUNNING", "v3")
    assert app(service).jobs[-1] == "snapshot"


def test_a_change_that_cloudformation_cannot_make_leaves_no_application_stopped(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    """ApplicationRun is not asked then; the Delete of the former pause starts it."""
    stack.deploy("v1")
    stack.refuses_change = True
    with pytest.raises(StackFailedError, match="CloudFormation may not"):
        stack.deploy("v2")
    assert "Update RUNNING" not in stack.events
    assert (app(service).status, app(service).code) == ("RUNNING", "v1")
    assert app(service).jobs == ["TRIM_HORIZON", "snapshot"]


def test_a_stop_that_fails_leaves_no_application_stopped(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.errors["stop_application"] = ["AccessDeniedException"] * 2
    with pytest.raises(StackFailedError, match="FlinkApplicationRole") as raised:
        stack.deploy("v2")
    assert "AccessDeniedException" in str(raised.value)
    assert (app(service).status, app(service).code) == ("RUNNING", "v1")


# ---------- deleted ----------


def test_deleting_the_stack_stops_the_application_with_a_snapshot(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    running = app(service)
    stack.delete()
    assert running.status == "READY"
    assert [snapshot.code for snapshot in running.snapshots] == ["v1"]
    assert service.apps == {}


def test_deleting_a_stack_whose_application_is_gone_succeeds(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.apps.clear()
    stack.delete()
    assert service.calls == ["start_application"]


def request(kind: str, state: str = "RUNNING", **properties: str) -> dict[str, object]:
    given = {
        "ApplicationName": NAME,
        "State": state,
        "LookBackSeconds": "4800",
        "LogGroup": "detection-logs",
    }
    return {
        "RequestType": kind,
        "RequestId": "request-1",
        "ResponseURL": "https://answers.example/",
        "StackId": "stack",
        "LogicalResourceId": "ApplicationRun",
        "ResourceProperties": given | properties,
    }


@pytest.mark.parametrize("state", ["PAUSED", "RUNNING"])
def test_deleting_what_was_never_made_succeeds(
    service: FakeManagedFlink, clock: FakeClock, state: str
) -> None:
    event = {**request("Delete", state), "PhysicalResourceId": "never-made-request-0"}
    assert ask(event, service, clock)["Status"] == "SUCCESS"
    assert service.calls == []


def test_the_delete_of_a_pause_never_made_starts_nothing(
    service: FakeManagedFlink, clock: FakeClock
) -> None:
    service.deployed("v1")
    event = {**request("Delete", "PAUSED"), "PhysicalResourceId": "never-made-request-0"}
    assert ask(event, service, clock)["Status"] == "SUCCESS"
    assert app(service).status == "READY"


# ---------- RUNNING is no job yet ----------


def test_a_program_that_fails_after_running_fails_the_deploy_with_its_log_line(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    service.no_job.add("v1")
    with pytest.raises(StackFailedError) as raised:
        stack.deploy("v1")
    for part in (NAME, "without a job", "Run python process failed", "exits with code: 1"):
        assert part in str(raised.value)
    assert NAME not in service.apps


def test_new_code_whose_program_fails_after_running_gives_way_to_the_old_one(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.no_job.add("v2")
    with pytest.raises(StackFailedError, match="without a job"):
        stack.deploy("v2")
    assert (app(service).status, app(service).code) == ("RUNNING", "v1")
    assert app(service).jobs[-1] == "snapshot", "no state was thrown away for it"


def test_a_failure_of_an_earlier_start_says_nothing_of_this_one(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    stack.deploy("v1")
    service.no_job.add("v2")
    with pytest.raises(StackFailedError):
        stack.deploy("v2")
    stack.deploy("v3")
    assert (app(service).status, app(service).code) == ("RUNNING", "v3")


def test_an_application_that_stops_soon_after_running_does_not_count_as_started(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    service.falls_over["v1"] = 30
    with pytest.raises(StackFailedError, match="it ran and was READY within 60 s"):
        stack.deploy("v1")


def test_a_log_that_cannot_be_read_stops_no_deploy(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    service.no_log = True
    stack.deploy("v1")
    assert app(service).status == "RUNNING"


def test_an_application_is_made_when_its_role_is_some_seconds_old(
    service: FakeManagedFlink, clock: FakeClock
) -> None:
    began = clock.now()
    assert ask(request("Create", "PAUSED"), service, clock)["Status"] == "SUCCESS"
    assert clock.now() - began >= timedelta(seconds=NEW_ROLE_SECONDS)


# ---------- what the service may answer ----------

BUSY = [
    "ResourceInUseException",
    "ConcurrentModificationException",
    "ThrottlingException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ServiceUnavailableException",
    "InternalFailure",
]


@pytest.mark.parametrize("code", BUSY)
@pytest.mark.parametrize(
    "operation",
    [
        "describe_application",
        "list_application_snapshots",
        "start_application",
        "stop_application",
        "update_application",
        "describe_application_operation",
    ],
)
def test_a_call_that_is_not_taken_now_is_made_again(
    stack: CloudFormation, service: FakeManagedFlink, operation: str, code: str
) -> None:
    stack.deploy("v1")
    service.fits = lambda snapshot, code: snapshot == code
    service.errors[operation] = [code] * 4
    stack.deploy("v2")
    assert service.errors[operation] == []
    assert app(service).status == "RUNNING"
    assert app(service).jobs[-1].startswith("AT_TIMESTAMP")


def test_a_connection_that_times_out_is_made_again(
    stack: CloudFormation, service: FakeManagedFlink
) -> None:
    service.errors["describe_application"] = [ConnectTimeoutError(endpoint_url="https://x")] * 3
    stack.deploy("v1")
    assert app(service).status == "RUNNING"


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("LimitExceededException", "quota of KPUs"),
        ("AccessDeniedException", "FlinkApplicationRole"),
        ("InvalidApplicationConfigurationException", "code, role or properties"),
        ("UnsupportedOperationException", "FlinkRuntime"),
        ("InvalidArgumentException", "log group detection-logs"),
        ("CodeValidationException", "log group detection-logs"),
    ],
)
def test_a_start_that_is_refused_ends_at_once_with_the_service_s_words_and_a_remedy(
    stack: CloudFormation, service: FakeManagedFlink, clock: FakeClock, code: str, remedy: str
) -> None:
    service.errors["start_application"] = [code]
    with pytest.raises(StackFailedError) as raised:
        stack.deploy("v1")
    for part in (code, "as scripted", NAME, remedy):
        assert part in str(raised.value)
    assert clock.now() - NOON < timedelta(seconds=NEW_ROLE_SECONDS + 30)


@pytest.mark.parametrize("code", ["LimitExceededException", "AccessDeniedException"])
def test_a_refusal_that_has_nothing_to_do_with_state_throws_no_state_away(
    stack: CloudFormation, service: FakeManagedFlink, code: str
) -> None:
    stack.deploy("v1")
    service.errors["start_application"] = [code]
    with pytest.raises(StackFailedError, match=code):
        stack.deploy("v2")
    assert "update_application" not in service.calls
    assert app(service).jobs == ["TRIM_HORIZON", "snapshot"]  # the rollback's


def test_missing_credentials_are_a_refusal_and_not_waited_for(
    stack: CloudFormation, service: FakeManagedFlink, clock: FakeClock
) -> None:
    service.errors["describe_application"] = [NoCredentialsError()]
    with pytest.raises(StackFailedError, match="NoCredentialsError"):
        stack.deploy("v1")
    assert clock.now() - NOON == timedelta(seconds=NEW_ROLE_SECONDS)


def test_starting_what_is_not_there_says_so(service: FakeManagedFlink, clock: FakeClock) -> None:
    answer = ask(request("Create"), service, clock)
    assert answer["Status"] == "FAILED"
    assert f"there is no application {NAME}" in answer["Reason"]


# ---------- time ----------


ON_THE_WAY = sorted(STATUSES - STOPPED - {"RUNNING", "DELETING"})
"""The statuses of an application that something is being done to."""


@pytest.mark.parametrize("status", sorted(STOPPED))
def test_a_stopped_application_is_started_whatever_its_status_is_called(
    service: FakeManagedFlink, clock: FakeClock, status: str
) -> None:
    service.deployed("v1").status = status
    assert ask(request("Create"), service, clock)["Status"] == "SUCCESS"
    assert app(service).status == "RUNNING"


@pytest.mark.parametrize("status", sorted(STOPPED))
@pytest.mark.parametrize("kind", ["Update", "Delete"])
def test_a_stopped_application_is_stopped_whatever_its_status_is_called(
    service: FakeManagedFlink, clock: FakeClock, status: str, kind: str
) -> None:
    service.deployed("v1").status = status
    state = "PAUSED" if kind == "Update" else "RUNNING"
    event = {**request(kind, state), "PhysicalResourceId": NAME}
    assert ask(event, service, clock)["Status"] == "SUCCESS"
    assert service.calls == []


@pytest.mark.parametrize("status", ON_THE_WAY)
@pytest.mark.parametrize("left", ["RUNNING", *sorted(STOPPED)])
def test_an_application_on_its_way_is_waited_for_and_then_stopped_and_started(
    service: FakeManagedFlink, clock: FakeClock, status: str, left: str
) -> None:
    for kind, state, wanted in (("Update", "PAUSED", STOPPED), ("Update", "RUNNING", {"RUNNING"})):
        service.apps.clear()
        application = service.deployed("v1")
        application.status = status

        def arrives(application: App = application) -> None:
            application.status = left

        service._pending[NAME] = (clock.now() + timedelta(seconds=40), arrives)  # noqa: SLF001
        event = {**request(kind, state), "PhysicalResourceId": NAME}
        assert ask(event, service, clock)["Status"] == "SUCCESS"
        assert application.status in wanted


@pytest.mark.parametrize("status", ["READY", "ROLLED_BACK"])
def test_what_was_left_stopped_is_started_by_the_end_of_a_rollback(
    service: FakeManagedFlink, clock: FakeClock, status: str
) -> None:
    service.deployed("v1").status = status
    event = {**request("Delete", "PAUSED"), "PhysicalResourceId": f"{NAME}/request-0"}
    assert ask(event, service, clock)["Status"] == "SUCCESS"
    assert app(service).status == "RUNNING"


@pytest.mark.parametrize("status", ON_THE_WAY)
@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_an_application_that_does_not_move_is_said_to_in_time(
    service: FakeManagedFlink, clock: FakeClock, kind: str, status: str
) -> None:
    service.deployed("v1").status = status
    event = {**request(kind), **({"PhysicalResourceId": NAME} if kind == "Update" else {})}
    answer = ask(event, service, clock)
    assert answer["Status"] == "FAILED"
    assert answer["PhysicalResourceId"] == NAME
    for part in ("time is up", f"was {status} to the end", "detection-logs"):
        assert part in answer["Reason"]
    assert timedelta(seconds=800) < clock.now() - NOON < timedelta(seconds=860)


def test_throttling_that_never_ends_is_said_in_time(
    service: FakeManagedFlink, clock: FakeClock
) -> None:
    service.deployed("v1")
    service.errors["start_application"] = ["ThrottlingException"] * 1000
    answer = ask(request("Create"), service, clock)
    assert answer["Status"] == "FAILED"
    assert "time is up" in answer["Reason"]
    assert "ThrottlingException" in answer["Reason"]
    assert clock.now() - NOON < timedelta(seconds=860)


def test_a_start_that_never_ends_is_stopped_by_the_delete_of_the_rollback(
    service: FakeManagedFlink, clock: FakeClock, stack: CloudFormation
) -> None:
    service.start_seconds = 10_000
    with pytest.raises(StackFailedError, match="was STARTING to the end"):
        stack.deploy("v1")
    assert NAME not in service.apps
    assert service.calls == ["start_application", "stop_application"]
    assert clock.now() - NOON < timedelta(seconds=2 * 860)


# ---------- wrong properties ----------


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"ApplicationName": ""}, ["ApplicationName", "missing"]),
        ({"State": "ASLEEP"}, ["State", "PAUSED or RUNNING", "'ASLEEP'"]),
        ({"LookBackSeconds": "an hour"}, ["LookBackSeconds", "from 1 to 86400", "'an hour'"]),
        ({"LookBackSeconds": "0"}, ["LookBackSeconds"]),
    ],
)
def test_a_wrong_property_fails_before_anything_is_done(
    service: FakeManagedFlink, clock: FakeClock, properties: dict[str, str], words: list[str]
) -> None:
    service.deployed("v1")
    answer = ask(request("Create", **properties), service, clock)
    assert answer["Status"] == "FAILED"
    for word in words:
        assert word in answer["Reason"]
    assert service.calls == []
