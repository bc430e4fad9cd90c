"""Managed Flink and CloudFormation around it, with state.

The fake answers a real boto3 client, so requests are checked against the service's own model, and
so are the fake's answers. Time passes when somebody sleeps.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore import xform_name
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader
from botocore.model import OperationModel, Shape, StructureShape
from tests.fakes import FakeClock

from cardwatch.aws.flink_log import FlinkLog
from cardwatch.aws.managed_flink import ManagedFlink
from cardwatch.deployment.custom_resource import respond
from cardwatch.deployment.flink_application import ApplicationLife

if TYPE_CHECKING:
    from mypy_boto3_kinesisanalyticsv2 import KinesisAnalyticsV2Client

NAME = "cardwatch-detection"
GROUPS = {
    "kinesis.analytics.flink.run.options": {"python": "main.py", "jarfile": "lib/connector.jar"},
    "cardwatch.edge": {
        "stream_arn": "arn:aws:kinesis:us-east-1:123456789012:stream/events",
        "start_position": "TRIM_HORIZON",
        "start_timestamp": "1970-01-01T00:00:00.000Z",
    },
}
MODELS = Loader()
"""Reads a service's model once for all sessions."""


def fresh_session() -> boto3.Session:
    core = botocore.session.Session()
    core.register_component("data_loader", MODELS)
    return boto3.Session("test", "test", region_name="us-east-1", botocore_session=core)


STATUSES = frozenset(
    fresh_session()
    .client("kinesisanalyticsv2")
    .meta.service_model.shape_for("ApplicationStatus")
    .enum  # type: ignore[attr-defined]  # of string shapes
)
"""Every status that the service's own model has."""
STOPPED = frozenset({"READY", "ROLLED_BACK"})
"""From these an application is started, changed and deleted."""
ALLOWED_OPTIONS = (
    "pipeline.auto-watermark-interval",
    "pipeline.jars",
    "pipeline.max-parallelism",
    "pipeline.name",
    "pipeline.object-reuse",
    "python.execution-mode",
    "python.job-options",
    "table.dml-sync",
    "table.dynamic-table-options.enabled",
    "table.exec.mini-batch",
    "table.exec.sink",
    "table.exec.source.idle-timeout",
    "table.exec.state.ttl",
    "table.exec.uid",
    "table.exec.window-agg.buffer-size-limit",
    "table.local-time-zone",
    "table.optimizer",
    "table.plan",
)
"""What Managed Service for Apache Flink lets a program set, each with the options below it."""
PAGE = 2
"""Snapshots in one answer, so that paging is used."""


class Refusal(Exception):  # noqa: N818  an answer of the service, not an error of the test
    """An error answer of the service."""

    def __init__(self, code: str, message: str = "as scripted") -> None:
        super().__init__(message)
        self.code = code


def in_status(code: str, app: "App") -> Refusal:
    """Give what the API says of an application whose status does not allow the call."""
    return Refusal(code, f"application is {app.status}")


IN_USE = "ResourceInUseException"
INVALID = "InvalidRequestException"
MISSING = Refusal("ResourceNotFoundException", "no such application")
OTHER_VERSION = Refusal("ConcurrentModificationException", "another version")
NOT_FOR_CLOUDFORMATION = Refusal("InvalidArgumentException", "CloudFormation may not")


@dataclass
class Snapshot:
    taken: datetime
    code: str
    status: str = "READY"


@dataclass
class App:
    """An application; `code` stands for its archive."""

    code: str
    groups: dict[str, dict[str, str]]
    status: str = "READY"
    """One of STATUSES."""
    version: int = 1
    snapshots: list[Snapshot] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    """Where each job that ran began: `snapshot`, `TRIM_HORIZON` or `AT_TIMESTAMP <time>`."""


@dataclass
class FakeManagedFlink:
    """The service; its attributes script what goes wrong."""

    clock: FakeClock
    apps: dict[str, App] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    """Operations in the order they were asked for, describing ones apart."""
    errors: dict[str, list[str | BotoCoreError]] = field(default_factory=lambda: defaultdict(list))
    """Error codes, or failures to connect, that the next calls of an operation end with."""
    start_seconds: float = 60
    stop_seconds: float = 30
    fits: Callable[[str, str], bool] = lambda _snapshot, _code: True
    """Whether the state of one code restores into another."""
    broken: set[str] = field(default_factory=set)
    """Codes that do not start, with state or without."""
    stuck: set[str] = field(default_factory=set)
    """Codes that neither start nor fail when they restore."""
    no_snapshot: bool = False
    """Whether stopping with a snapshot fails."""
    hangs: bool = False
    """Whether stopping with a snapshot neither ends nor fails."""
    operation_ids: bool = True
    no_job: set[str] = field(default_factory=set)
    """Codes whose Python program fails once the application is RUNNING, which it stays."""
    falls_over: dict[str, float] = field(default_factory=dict)
    """Codes that run for so many seconds and are stopped by the service then."""
    log: list[tuple[datetime, str]] = field(default_factory=list)
    """The lines in the application's log group."""
    no_log: bool = False
    """Whether the log group may not be read."""
    _pending: dict[str, tuple[datetime, Callable[[], None]]] = field(default_factory=dict)
    _operations: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def client(self) -> "KinesisAnalyticsV2Client":
        client = fresh_session().client("kinesisanalyticsv2")
        # An answer of this event's handler is the call's, which its type does not know.
        client.meta.events.register("before-call", self._answer)  # type: ignore[arg-type]
        return client

    @cached_property
    def log_session(self) -> boto3.Session:
        session = fresh_session()
        session.events.register("before-call.cloudwatch-logs", self._answer_logs)  # type: ignore[arg-type]
        return session

    def deployed(self, code: str) -> App:
        """What CloudFormation's creation or change of a stopped application leaves."""
        app = self.apps.setdefault(NAME, App(code, {}))
        self._settle(NAME)
        if app.status not in STOPPED:
            raise in_status(IN_USE, app)
        app.status = "READY"
        app.code, app.version = code, app.version + 1
        app.groups = {group: dict(values) for group, values in GROUPS.items()}
        return app

    # ---------- the API ----------

    def _answer(
        self, model: OperationModel, params: Mapping[str, Any], **_: object
    ) -> tuple[SimpleNamespace, dict[str, Any]]:
        name = xform_name(model.name)
        if not name.startswith(("describe", "list")):
            self.calls.append(name)
        try:
            if self.errors[name]:
                error = self.errors[name].pop(0)
                raise error if isinstance(error, BotoCoreError) else Refusal(error)
            body = json.loads(params["body"])
            if body["ApplicationName"] not in self.apps:
                raise MISSING
            self._settle(body["ApplicationName"])
            answer = getattr(self, f"_{name}")(self.apps[body["ApplicationName"]], body)
        except Refusal as refusal:
            error_body = {"Error": {"Code": refusal.code, "Message": str(refusal)}}
            return SimpleNamespace(status_code=HTTPStatus.BAD_REQUEST), error_body
        assert_fits(answer, model.output_shape)
        return SimpleNamespace(status_code=HTTPStatus.OK), answer

    def _describe_application(self, app: App, body: Mapping[str, Any]) -> dict[str, Any]:
        groups = [
            {"PropertyGroupId": name, "PropertyMap": dict(values)}
            for name, values in app.groups.items()
        ]
        detail = {
            "ApplicationARN": f"arn:aws:kinesisanalytics:us-east-1:1:application/{NAME}",
            "ApplicationName": body["ApplicationName"],
            "RuntimeEnvironment": "FLINK-2_2",
            "ApplicationStatus": app.status,
            "ApplicationVersionId": app.version,
            "ApplicationConfigurationDescription": {
                "EnvironmentPropertyDescriptions": {"PropertyGroupDescriptions": groups}
            },
        }
        return {"ApplicationDetail": detail}

    def _list_application_snapshots(self, app: App, body: Mapping[str, Any]) -> dict[str, Any]:
        begin = int(body.get("NextToken", 0))
        summaries = [
            {
                "SnapshotName": f"s{number}",
                "SnapshotStatus": snapshot.status,
                "ApplicationVersionId": 1,
                "SnapshotCreationTimestamp": snapshot.taken,
            }
            for number, snapshot in enumerate(app.snapshots)
        ]
        answer: dict[str, Any] = {"SnapshotSummaries": summaries[begin : begin + PAGE]}
        return answer | ({"NextToken": str(begin + PAGE)} if summaries[begin + PAGE :] else {})

    def _start_application(self, app: App, body: Mapping[str, Any]) -> dict[str, Any]:
        if app.status not in STOPPED:
            raise in_status(IN_USE, app)
        run = body["RunConfiguration"]
        assert run["FlinkRunConfiguration"] == {"AllowNonRestoredState": False}
        kind = run["ApplicationRestoreConfiguration"]["ApplicationRestoreType"]
        ready = [snapshot for snapshot in app.snapshots if snapshot.status == "READY"]
        state = ready[-1].code if kind == "RESTORE_FROM_LATEST_SNAPSHOT" and ready else None
        app.status = "STARTING"
        operation = self._operation()
        if state is not None and app.code in self.stuck:
            return operation

        def end() -> None:
            if app.code in self.broken:
                self._fail(app, "READY", operation, "java.lang.IllegalStateException: broken code")
            elif state is not None and not self.fits(state, app.code):
                reason = "Cannot map savepoint state for operator cbc357cc to the new program"
                self._fail(app, "READY", operation, reason)
            else:
                edge = app.groups["cardwatch.edge"]
                begin = edge["start_position"]
                if begin == "AT_TIMESTAMP":
                    begin += " " + edge["start_timestamp"]
                app.jobs.append("snapshot" if state is not None else begin)
                self._succeed(app, "RUNNING", operation)
                self._run(app, body)

        self._later(body, self.start_seconds, end)
        return operation

    def _stop_application(self, app: App, body: Mapping[str, Any]) -> dict[str, Any]:
        force = body["Force"]
        forceable = {"STARTING", "UPDATING", "STOPPING", "AUTOSCALING", "RUNNING"}
        if app.status not in (forceable if force else {"RUNNING"}):
            raise in_status(INVALID, app)
        app.status = "FORCE_STOPPING" if force else "STOPPING"
        operation = self._operation()
        if self.hangs and not force:
            return operation

        def end() -> None:
            if self.no_snapshot and not force:
                self._fail(app, "RUNNING", operation, "the job is not running")
                return
            if not force:
                app.snapshots.append(Snapshot(self.clock.now(), app.code))
            self._succeed(app, "READY", operation)

        self._later(body, self.stop_seconds, end)
        return operation

    def _update_application(self, app: App, body: Mapping[str, Any]) -> dict[str, Any]:
        if body["CurrentApplicationVersionId"] != app.version:
            raise OTHER_VERSION
        if app.status not in STOPPED:
            raise in_status(IN_USE, app)
        update = body["ApplicationConfigurationUpdate"]["EnvironmentPropertyUpdates"]
        app.groups = {
            group["PropertyGroupId"]: group["PropertyMap"] for group in update["PropertyGroups"]
        }
        app.version += 1
        app.status = "UPDATING"

        def end() -> None:
            app.status = "READY"

        self._later(body, 10, end)
        return self._describe_application(app, body)

    def _describe_application_operation(self, app: App, body: Mapping[str, Any]) -> dict[str, Any]:
        del app
        return {
            "ApplicationOperationInfoDetails": {
                "Operation": "scripted",
                "StartTime": self.clock.now(),
                "EndTime": self.clock.now(),
                **self._operations[body["OperationId"]],
            }
        }

    # ---------- its inside ----------

    def _run(self, app: App, body: Mapping[str, Any]) -> None:
        """What becomes of the job after RUNNING."""
        if app.code in self.no_job:
            entry = {
                "logger": "org.apache.flink.client.python.PythonDriver",
                "message": "Run python process failed",
                "throwableInformation": "java.lang.RuntimeException: exits with code: 1\n\tat …",
                "messageType": "ERROR",
            }
            self.log.append((self.clock.now(), json.dumps(entry)))
        if app.code in self.falls_over:

            def end() -> None:
                app.status = "READY"

            self._later(body, self.falls_over[app.code], end)

    def _answer_logs(
        self, model: OperationModel, params: Mapping[str, Any], **_: object
    ) -> tuple[SimpleNamespace, dict[str, Any]]:
        assert model.name == "FilterLogEvents"
        if self.no_log:
            refused = {"Error": {"Code": "AccessDeniedException", "Message": "not yours"}}
            return SimpleNamespace(status_code=HTTPStatus.BAD_REQUEST), refused
        body = json.loads(params["body"])
        assert body["logGroupName"] == "detection-logs"
        terms = [term for term in body["filterPattern"].split('"') if term.strip()]
        events = [
            {"message": line, "timestamp": int(at.timestamp() * 1000)}
            for at, line in self.log
            if at.timestamp() * 1000 >= body["startTime"] and all(term in line for term in terms)
        ]
        return SimpleNamespace(status_code=HTTPStatus.OK), {"events": events[: body["limit"]]}

    def _operation(self) -> dict[str, str]:
        identity = f"op-{len(self._operations)}"
        self._operations[identity] = {"OperationStatus": "IN_PROGRESS"}
        return {"OperationId": identity} if self.operation_ids else {}

    def _succeed(self, app: App, status: str, operation: Mapping[str, str]) -> None:
        app.status = status
        if operation:
            self._operations[operation["OperationId"]] = {"OperationStatus": "SUCCESSFUL"}

    def _fail(self, app: App, status: str, operation: Mapping[str, str], why: str) -> None:
        app.status = status
        if operation:
            self._operations[operation["OperationId"]] = {
                "OperationStatus": "FAILED",
                "OperationFailureDetails": {"ErrorInfo": {"ErrorString": why}},
            }

    def _later(self, body: Mapping[str, Any], seconds: float, end: Callable[[], None]) -> None:
        at = self.clock.now() + timedelta(seconds=seconds)
        self._pending[body["ApplicationName"]] = (at, end)

    def _settle(self, name: str) -> None:
        at, end = self._pending.get(name, (None, None))
        if at is not None and end is not None and self.clock.now() >= at:
            del self._pending[name]
            end()


def assert_fits(value: object, shape: Shape | None) -> None:
    """Hold an answer to the service's model, member by member."""
    if isinstance(shape, StructureShape):
        assert isinstance(value, Mapping)
        assert set(shape.required_members) <= set(value) <= set(shape.members), shape.name
        for key, item in value.items():
            assert_fits(item, shape.members[key])
    elif shape is not None and shape.type_name == "list":
        assert isinstance(value, list)
        for item in value:
            assert_fits(item, shape.member)  # type: ignore[attr-defined]


@dataclass
class Context:
    """Lambda's context of one invocation, which ends after `seconds`."""

    clock: FakeClock
    seconds: float = 900
    function_name: str = "flink-application"
    log_group_name: str = "/aws/lambda/flink-application"
    log_stream_name: str = "2026/11/21/[1]abc"

    def __post_init__(self) -> None:
        self._end = self.clock.now() + timedelta(seconds=self.seconds)

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - self.clock.now()).total_seconds() * 1000)


class StackFailedError(Exception):
    """CloudFormation has rolled back; the text is the reason of the first failure."""


@dataclass
class CloudFormation:
    """The stack's three steps: pause, application, run, in CloudFormation's order.

    An Update that fails is rolled back: every resource that was touched is updated back, in the
    same order; those that were not are left alone. At the end, of an update and of a rollback, the
    former physical ids of replaced resources are deleted.
    """

    service: FakeManagedFlink
    clock: FakeClock
    function_seconds: float = 900
    look_back_seconds: int = 4800
    refuses_change: bool = False
    """Whether CloudFormation's own change of the application fails."""
    code: str | None = None
    ids: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    _requests: int = 0

    def deploy(self, code: str) -> None:
        """Create or update the stack with this code; nothing is done when nothing changed."""
        if code == self.code:
            return
        kind = "Create" if self.code is None else "Update"
        replaced: list[str] = []
        touched: list[str] = []
        try:
            for step in ("PAUSED", "application", "RUNNING"):
                touched.append(step)
                self._do(kind, step, code, replaced)
        except (StackFailedError, Refusal) as failure:
            self._roll_back(touched)
            raise StackFailedError(str(failure)) from None
        self.code = code
        self._clean_up(replaced)

    def delete(self) -> None:
        """Delete the stack, in the reverse order."""
        if "RUNNING" in self.ids:
            self._request("Delete", "RUNNING", self.ids.pop("RUNNING"))
        self.service.apps.pop(NAME, None)
        if "PAUSED" in self.ids:
            self._request("Delete", "PAUSED", self.ids.pop("PAUSED"))

    def _roll_back(self, touched: list[str]) -> None:
        if self.code is None:
            self.delete()
            return
        replaced: list[str] = []
        for step in touched:
            self._do("Update", step, self.code, replaced)
        self._clean_up(replaced)

    def _do(self, kind: str, step: str, code: str, replaced: list[str]) -> None:
        if step == "application":
            if self.refuses_change and code != self.code:
                raise NOT_FOR_CLOUDFORMATION
            self.service.deployed(code)
            return
        answer = self._request(kind, step, self.ids.get(step))
        former = self.ids.get(step)
        self.ids[step] = answer["PhysicalResourceId"]
        if answer["Status"] != "SUCCESS":
            raise StackFailedError(answer["Reason"])
        if former not in {None, self.ids[step]} and step == "PAUSED":
            replaced.append(str(former))

    def _clean_up(self, replaced: list[str]) -> None:
        for identity in replaced:
            self._request("Delete", "PAUSED", identity)

    def _request(self, kind: str, state: str, identity: str | None) -> dict[str, Any]:
        self._requests += 1
        self.events.append(f"{kind} {state}")
        event = {
            "RequestType": kind,
            "RequestId": f"request-{self._requests}",
            "ResponseURL": "https://answers.example/",
            "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/detection/1",
            "LogicalResourceId": "ApplicationPause" if state == "PAUSED" else "ApplicationRun",
            **({"PhysicalResourceId": identity} if identity else {}),
            "ResourceProperties": {
                "ServiceToken": "arn:aws:lambda:…",
                "ServiceTimeout": "930",
                "ApplicationName": NAME,
                "State": state,
                "LookBackSeconds": str(self.look_back_seconds),
                "LogGroup": "detection-logs",
            },
        }
        return ask(event, self.service, self.clock, seconds=self.function_seconds)


def ask(
    event: Mapping[str, Any], service: FakeManagedFlink, clock: FakeClock, *, seconds: float = 900
) -> dict[str, Any]:
    """Have the function answer one request of CloudFormation."""
    answers: list[bytes] = []
    life = ApplicationLife(
        ManagedFlink(service.client), FlinkLog(service.log_session), clock.sleep, clock.now
    )
    respond(
        event,
        Context(clock, seconds),
        life.handle,
        put=lambda _address, body: answers.append(body),
    )
    [body] = answers
    answer: dict[str, Any] = json.loads(body)
    return answer
