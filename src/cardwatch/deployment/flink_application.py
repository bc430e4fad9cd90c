"""The life of the Managed Flink application around an update by CloudFormation.

CloudFormation makes and changes the application but never starts one, and an update of a running
one fails for good when its state does not fit the new code. So two custom resources frame it:

- `PAUSED`, before it: an Update stops the application with a snapshot, so that CloudFormation
  changes a stopped one. Every Update gives another physical id; CloudFormation therefore ends each
  update, and each rollback, with a Delete of an old one, and that Delete starts the application if
  whatever failed in between left it stopped.
- `RUNNING`, after it: Create and Update start it and wait until it runs; Delete stops it with a
  snapshot.

A start restores the latest snapshot. If that does not come to run, for state that does not fit is
one of many reasons, the application starts once more without state, from so many seconds before the
snapshot as the longest window and the registry need to be complete again; alerts have deterministic
ids, so what is read again is paged once.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Protocol, TypeVar

from cardwatch.deployment.custom_resource import Answer, Request, ResourceFailedError

POLL_SECONDS: Final = 5.0
"""Between two looks; the API takes a few calls a second from all of an account."""
EDGE_GROUP: Final = "cardwatch.edge"
"""The property group of the application (flink_app/edges.py) that says where reading starts."""
UNSEEN_LOOKS: Final = 3
"""Looks after which an operation that says nothing and changed nothing has failed."""
MOST_LOOK_BACK_SECONDS: Final = 86_400
"""The stream's retention: what is older is no more."""
WATCHED_SECONDS: Final = 60.0
"""After RUNNING: the service says it before the Python program has built a job."""
NEW_ROLE_SECONDS: Final = 20.0
"""What a role's trust takes to be known everywhere; CreateApplication does not wait for it."""

_STOPPED: Final = frozenset({"READY", "ROLLED_BACK"})
"""It does not run and may be started. ROLLED_BACK is where the service leaves one whose change it
took back while it did not run (AWS's guide to an application's life)."""
_FORCEABLE: Final = frozenset({"STARTING", "UPDATING", "STOPPING", "AUTOSCALING", "RUNNING"})
_RESTORE_REFUSALS: Final = frozenset(
    {
        "InvalidApplicationConfigurationException",
        "InvalidArgumentException",
        "InvalidRequestException",
        "ResourceNotFoundException",
    }
)
"""With these a start can be refused because of the snapshot that it is to restore."""
_REMEDIES: Final = {
    "LimitExceededException": "lower StreamShards or have the account's quota of KPUs raised",
    "AccessDeniedException": "grant that to FlinkApplicationRole in infra/detection.yaml",
    "InvalidApplicationConfigurationException": (
        "correct the application's code, role or properties in infra/detection.yaml"
    ),
    "UnsupportedOperationException": "check FlinkRuntime",
}
_LOG = logging.getLogger(__name__)

T = TypeVar("T")


class ApplicationMissingError(Exception):
    """There is no application of that name."""


class ApplicationBusyError(Exception):
    """The service does not take the call now: another change, throttling, no answer."""


class ApplicationRefusedError(Exception):
    """The service does not take the call, now or later; the text is its own."""

    def __init__(self, code: str, message: str) -> None:
        """Take the service's error code and message."""
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Application:
    """The application as the service describes it."""

    status: str
    """READY or ROLLED_BACK (stopped), RUNNING, or one on the way between them."""
    version: int
    properties: Mapping[str, Mapping[str, str]]
    """Property groups by name."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What became of a start or stop."""

    status: Literal["IN_PROGRESS", "CANCELLED", "SUCCESSFUL", "FAILED"]
    reason: str


class ApplicationApi(Protocol):
    """The calls of the service that a life takes.

    Each raises ApplicationMissingError, ApplicationBusyError or ApplicationRefusedError.
    """

    def describe(self, name: str) -> Application:
        """Describe the application."""
        ...

    def start(self, name: str, *, restore: bool) -> str | None:
        """Begin to start it, from its latest snapshot or without state; gives the operation."""
        ...

    def stop(self, name: str, *, force: bool) -> str | None:
        """Begin to stop it, with a snapshot unless forced; gives the operation."""
        ...

    def set_properties(
        self, name: str, version: int, groups: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Replace all property groups of that version of it."""
        ...

    def latest_snapshot(self, name: str) -> datetime | None:
        """Give when the newest complete snapshot was taken."""
        ...

    def operation(self, name: str, identity: str) -> Operation:
        """Say what became of an operation."""
        ...


class ApplicationLog(Protocol):
    """The application's log group."""

    def python_failure(self, group: str, since: datetime) -> str | None:
        """Give what the log says of a Python program that failed since then; None if nothing.

        None too when the log cannot be read: that says nothing of the job.
        """
        ...


@dataclass(frozen=True, slots=True)
class ApplicationLife:
    """Does what the custom resources around the application ask for."""

    api: ApplicationApi
    log: ApplicationLog
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def handle(self, request: Request) -> Answer:
        """Serve one request; raises ResourceFailedError with the reason.

        Properties: ApplicationName; State, PAUSED or RUNNING; LookBackSeconds; LogGroup, where the
        application logs. All others are there so that their change is an Update.
        """
        name = request.text("ApplicationName")
        state = request.text("State")
        if state not in {"PAUSED", "RUNNING"}:
            msg = f"property State of {request.logical_id} must be PAUSED or RUNNING, not {state!r}"
            raise ResourceFailedError(msg)
        step = _Step(self, request, name)
        try:
            match state, request.kind:
                case ("PAUSED", "Create"):
                    # The application comes next, and its role was made seconds ago.
                    self.sleep(min(NEW_ROLE_SECONDS, max(0.0, request.remaining_seconds())))
                case ("PAUSED", "Update") | ("RUNNING", "Delete"):
                    step.stop()
                case ("PAUSED", "Delete"):
                    if request.physical_id is not None and step.is_stopped():
                        _LOG.warning("%s was left stopped; starting it", name)
                        step.start()
                case _:
                    step.start()
        except ApplicationRefusedError as error:
            raise step.refused(error) from None
        return Answer(f"{name}/{request.request_id}" if state == "PAUSED" else name)


class _Step:
    """One request's work on one application, until its time is up."""

    def __init__(self, life: ApplicationLife, request: Request, name: str) -> None:
        self._api = life.api
        self._life = life
        self._request = request
        self._name = name

    # ---------- start ----------

    def start(self) -> None:
        """Have it run: from its latest snapshot, else from before that snapshot, else afresh."""
        try:
            self._start()
        except ApplicationMissingError:
            msg = f"there is no application {self._name} to start: deploy infra/detection.yaml"
            raise ResourceFailedError(msg) from None

    def _start(self) -> None:
        look_back = self._request.whole_number(
            "LookBackSeconds", least=1, most=MOST_LOOK_BACK_SECONDS
        )
        if self._settled().status == "RUNNING":
            return
        snapshot = self._try(lambda: self._api.latest_snapshot(self._name))
        if snapshot is None:
            failure = self._attempt(restore=False, reserve=0.0)
            if failure:
                msg = f"{self._name} does not start: {failure}; {self._where()}"
                raise self._failed(msg)
            return
        # Half of the time, so that there is as much for the second attempt.
        reserve = self._request.remaining_seconds() / 2
        with_state = self._attempt(restore=True, reserve=reserve)
        if not with_state:
            return
        begin = snapshot - timedelta(seconds=look_back)
        _LOG.warning("no start from the snapshot of %s (%s)", _iso(snapshot), with_state)
        self._begin_at(begin)
        without_state = self._attempt(restore=False, reserve=0.0)
        if without_state:
            msg = (
                f"{self._name} starts neither from its snapshot of {_iso(snapshot)} ({with_state}) "
                f"nor without state from {_iso(begin)} ({without_state}); {self._where()}"
            )
            raise self._failed(msg)
        _LOG.warning("%s runs without its former state, from %s on", self._name, _iso(begin))

    def _attempt(self, *, restore: bool, reserve: float) -> str | None:
        """Start it once and wait; gives why it does not run, or None when it does.

        With `reserve` seconds left it gives up and stops the attempt.
        """
        try:
            operation = self._asked_to_start(restore=restore)
        except ApplicationRefusedError as error:
            if restore and error.code in _RESTORE_REFUSALS:
                return str(error)
            raise
        looks = 0
        began = self._life.now()
        while (status := self._describe().status) != "RUNNING":
            if status in _STOPPED:
                looks += 1
                ended = self._ended(operation, looks)
                if ended:
                    return ended.reason
            if reserve and self._request.remaining_seconds() <= reserve:
                self.stop(force=True)
                return f"it was still {status} after {reserve:.0f} s"
            self._wait(f"was {status}")
        return self._ended_after_all(began)

    def _ended_after_all(self, began: datetime) -> str | None:
        """Watch an application that runs for a while; gives why it does so no more.

        Raises ResourceFailedError when the Python program failed: the application says RUNNING and
        has no job then, and state has nothing to do with it.
        """
        group = self._request.properties.get("LogGroup")
        until = self._life.now() + timedelta(seconds=WATCHED_SECONDS)
        while self._life.now() < until and self._request.remaining_seconds() > 0:
            self._life.sleep(POLL_SECONDS)
            failure = self._life.log.python_failure(group, began) if group else None
            if failure:
                self.stop(force=True)
                msg = f"{self._name} runs without a job, for its program failed: {failure}; "
                raise self._failed(msg + self._where())
            status = self._describe().status
            if status in _STOPPED:
                return f"it ran and was {status} within {WATCHED_SECONDS:.0f} s"
        return None

    def _asked_to_start(self, *, restore: bool) -> str | None:
        """Have the service begin to start it, unless it runs; gives the operation."""
        while self._settled().status != "RUNNING":
            try:
                return self._api.start(self._name, restore=restore)
            except ApplicationBusyError as error:
                self._wait(f"could not be started ({error})")
        return None

    def _begin_at(self, begin: datetime) -> None:
        """Set where a start without state begins to read."""
        while True:
            application = self._settled()
            groups = {group: dict(values) for group, values in application.properties.items()}
            edge = groups.setdefault(EDGE_GROUP, {})
            edge |= {"start_position": "AT_TIMESTAMP", "start_timestamp": _iso(begin)}
            try:
                self._api.set_properties(self._name, application.version, groups)
            except ApplicationBusyError as error:
                self._wait(f"could not be changed ({error})")
            else:
                return

    # ---------- stop ----------

    def is_stopped(self) -> bool:
        """Say whether it is there and does not run."""
        try:
            return self._settled().status in _STOPPED
        except ApplicationMissingError:
            return False

    def stop(self, *, force: bool = False) -> None:
        """Have it stopped, or gone: with a snapshot if it can take one, without one else."""
        try:
            self._stop(force=force)
        except ApplicationMissingError:
            return

    def _stop(self, *, force: bool) -> None:
        asked: str | None = None
        stopping = forced = False
        looks = 0
        patience = self._request.remaining_seconds() / 2
        while True:
            status = self._describe().status
            if status in _STOPPED or status == "DELETING":
                return
            if stopping and status == "RUNNING":
                looks += 1
                failed = self._ended(asked, looks)
                if failed and forced:
                    msg = f"{self._name} does not stop: {failed.reason}; {self._where()}"
                    raise ResourceFailedError(msg)
                if failed:
                    _LOG.warning("no snapshot at the stop: %s", failed.reason)
                    stopping, force, looks = False, True, 0
            stuck = self._request.remaining_seconds() <= patience and not forced
            force = force or stuck
            if (status == "RUNNING" and not stopping) or (
                force and not forced and status in _FORCEABLE
            ):
                try:
                    asked = self._api.stop(self._name, force=force)
                    stopping, forced, looks = True, force, 0
                except ApplicationBusyError as error:
                    _LOG.info("not stopped yet: %s", error)
                except ApplicationRefusedError as error:
                    if force:
                        raise
                    _LOG.warning("no stop with a snapshot: %s", error)
                    force = True
            self._wait(f"was {status}")

    # ---------- both ----------

    def _ended(self, operation: str | None, looks: int) -> Operation | None:
        """Give the operation when it has ended otherwise than asked; None while it may yet.

        The status may lag behind, so one look that shows no change says nothing.
        """
        ended = Operation("SUCCESSFUL", "the service gives no reason")
        if operation is not None:
            try:
                ended = self._api.operation(self._name, operation)
            except ApplicationBusyError:
                return None
            except ApplicationMissingError:  # the operation is, and so is all that it could say
                pass
        if ended.status == "IN_PROGRESS" or (ended.status == "SUCCESSFUL" and looks < UNSEEN_LOOKS):
            return None
        return ended

    def _settled(self) -> Application:
        """Wait until it is stopped or runs; raises ApplicationMissingError."""
        while True:
            application = self._describe()
            if application.status in _STOPPED or application.status == "RUNNING":
                return application
            if application.status == "DELETING":
                raise ApplicationMissingError(self._name)
            self._wait(f"was {application.status}")

    def _describe(self) -> Application:
        return self._try(lambda: self._api.describe(self._name))

    def _try(self, call: Callable[[], T]) -> T:
        while True:
            try:
                return call()
            except ApplicationBusyError as error:
                self._wait(f"could not be asked ({error})")

    def _wait(self, state: str) -> None:
        if self._request.remaining_seconds() <= 0:
            msg = f"time is up: {self._name} {state} to the end; {self._where()}"
            raise self._failed(msg)
        self._life.sleep(POLL_SECONDS)

    def _failed(self, message: str) -> ResourceFailedError:
        """Name the application, so that what a Create left half started is stopped."""
        return ResourceFailedError(message, physical_id=self._name)

    def refused(self, error: ApplicationRefusedError) -> ResourceFailedError:
        """Give what people are told of a call that the service refuses."""
        remedy = _REMEDIES.get(error.code, self._where())
        return self._failed(f"Managed Flink refuses what {self._name} needs: {error}; {remedy}")

    def _where(self) -> str:
        group = self._request.properties.get("LogGroup", "of the application")
        return f"its log group {group} says more (Python's errors are logger PythonDriver's)"


def _iso(moment: datetime) -> str:
    """Write a time as the contract and the connector do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
