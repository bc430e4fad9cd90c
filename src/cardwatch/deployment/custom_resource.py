"""The protocol of CloudFormation custom resources.

CloudFormation invokes a function with Create, Update or Delete and a pre-signed address, and waits
until an answer of at most 4,096 bytes is PUT there; one that never comes holds the stack until the
resource's ServiceTimeout. So `respond` answers whatever happens, and in time.

Source: AWS CloudFormation User Guide, "Custom resource request types" and "response objects".
"""

import http.client
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal, Protocol, cast

from cardwatch.backoff import Backoff
from cardwatch.clock import SystemClock

BODY_BYTES: Final = 4096
"""CloudFormation's limit of an answer."""
NEVER_MADE: Final = "never-made-"
"""How the physical id begins that a failed Create leaves; the rollback's Delete brings it back."""
HANDLER_MARGIN_SECONDS: Final = 60.0
"""Of the function's time, what a handler leaves: its last call may hang before it can give up."""
ANSWER_MARGIN_SECONDS: Final = 20.0
"""Of the function's time, what the answer's own attempts may take."""

_KINDS: Final = ("Create", "Update", "Delete")
_ECHOED: Final = ("StackId", "RequestId", "LogicalResourceId")
_PUTS: Final = Backoff(
    tries=5, first_seconds=0.5, longest_seconds=4.0, patience_seconds=ANSWER_MARGIN_SECONDS
)
_PUT_TIMEOUT_SECONDS: Final = 5.0
_LOG = logging.getLogger(__name__)


class ResourceFailedError(Exception):
    """The resource cannot be made, changed or removed; the text is the reason in the stack event.

    One sentence: what, why, remedy. A Create that left something behind gives its `physical_id`, so
    that the rollback's Delete removes it.
    """

    def __init__(self, reason: str, *, physical_id: str | None = None) -> None:
        """Take the reason for people and the id of what was made nevertheless."""
        super().__init__(reason)
        self.physical_id = physical_id


class LambdaContextLike(Protocol):
    """What is used of the context object that Lambda gives a handler."""

    function_name: str
    log_group_name: str
    log_stream_name: str

    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Request:
    """What CloudFormation asks; all values within properties are texts, lists and mappings."""

    kind: Literal["Create", "Update", "Delete"]
    properties: Mapping[str, Any]
    """The resource's properties in the template, without ServiceToken and ServiceTimeout."""
    old_properties: Mapping[str, Any]
    """Those before an Update; empty otherwise."""
    physical_id: str | None
    """None for a Create, and for the Delete of something never made."""
    stack_id: str
    logical_id: str
    request_id: str
    remaining_seconds: Callable[[], float] = lambda: 60.0
    """How long the handler may go on; from 0 on it raises ResourceFailedError with the reason."""

    def text(self, name: str) -> str:
        """Give a property that is a text; raises ResourceFailedError when missing or empty."""
        value = self.properties.get(name)
        if not isinstance(value, str) or not value:
            msg = f"property {name} of {self.logical_id} is missing: set it in the template"
            raise ResourceFailedError(msg)
        return value

    def whole_number(self, name: str, *, least: int, most: int) -> int:
        """Give a property that is a whole number from `least` to `most`; else ResourceFailedError.

        CloudFormation passes numbers as texts.
        """
        value = self.text(name)
        if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            msg = (
                f"property {name} of {self.logical_id} must be a whole number from {least} to "
                f"{most}, not {value!r}: correct it in the template"
            )
            raise ResourceFailedError(msg)
        return int(value)


@dataclass(frozen=True, slots=True)
class Answer:
    """The resource is as asked; an Update that gives another `physical_id` replaces it."""

    physical_id: str
    data: Mapping[str, str] = field(default_factory=dict)
    """What the template reads with !GetAtt; never a secret."""


def put_answer(address: str, body: bytes) -> None:
    """PUT `body` to CloudFormation's pre-signed address; raises OSError after five attempts."""
    # The signature covers an empty content type.
    request = urllib.request.Request(  # noqa: S310  the address is CloudFormation's
        address, body, {"Content-Type": ""}, method="PUT"
    )
    lost = ""
    for _ in _PUTS.attempts(SystemClock()):
        try:
            with urllib.request.urlopen(  # noqa: S310  the same address  # nosec B310
                request, timeout=_PUT_TIMEOUT_SECONDS
            ):
                return
        except (OSError, http.client.HTTPException) as error:
            lost = type(error).__name__
            if (
                isinstance(error, urllib.error.HTTPError)
                and error.code < HTTPStatus.INTERNAL_SERVER_ERROR
            ):
                break
    msg = f"CloudFormation was not answered: {lost}"
    raise OSError(msg)


def respond(
    event: Mapping[str, Any],
    context: LambdaContextLike,
    handle: Callable[[Request], Answer],
    *,
    put: Callable[[str, bytes], None] = put_answer,
) -> None:
    """Let `handle` do what CloudFormation asks and answer it exactly once.

    A ResourceFailedError is answered with its text; any other exception with its type and where the
    log is, because its text may hold what nobody should read. A handler that does not end in time
    is answered for. A Delete of what a failed Create left is tried once more and succeeds anyway:
    a rollback must not stop at what was never there.

    Raises OSError when the answer could not be sent.
    """
    exchange = _Exchange(event, put)
    left = context.get_remaining_time_in_millis() / 1000
    where = f"log stream {context.log_stream_name} of log group {context.log_group_name}"
    late = (
        f"{context.function_name} did not finish within its {left:.0f} s; what it waited for is in "
        f"{where}"
    )
    watch = threading.Timer(max(left - ANSWER_MARGIN_SECONDS, 0.1), exchange.failed, args=(late,))
    watch.daemon = True
    watch.start()
    try:
        request = _request(
            event, lambda: context.get_remaining_time_in_millis() / 1000 - HANDLER_MARGIN_SECONDS
        )
        _LOG.info("%s of %s, request %s", request.kind, request.logical_id, request.request_id)
        answer = handle(request)
    except ResourceFailedError as error:
        _LOG.exception("the resource failed")
        exchange.failed(str(error), error.physical_id)
    except Exception as error:  # noqa: BLE001  CloudFormation waits for an answer whatever happens
        _LOG.exception("the function failed")
        exchange.failed(f"{context.function_name} failed with {type(error).__name__}; see {where}")
    else:
        exchange.succeeded(answer)
    finally:
        watch.cancel()


class _Exchange:
    """One request's answer, given once whoever comes first: the handler or the watch."""

    def __init__(self, event: Mapping[str, Any], put: Callable[[str, bytes], None]) -> None:
        self._event = event
        self._put = put
        self._lock = threading.Lock()
        self._answered = False

    @property
    def _given_id(self) -> str:
        """The id that the resource has, or that says that there is none."""
        return str(
            self._event.get("PhysicalResourceId")
            or f"{NEVER_MADE}{self._event.get('RequestId', 'unknown')}"
        )

    def succeeded(self, answer: Answer) -> None:
        body = self._body("SUCCESS", answer.physical_id, {"Data": dict(answer.data)})
        if len(body) > BODY_BYTES:
            self.failed(
                f"the resource's data make an answer of {len(body)} bytes, CloudFormation takes "
                f"{BODY_BYTES}: return less",
                answer.physical_id,
            )
            return
        self._send(body)

    def failed(self, reason: str, physical_id: str | None = None) -> None:
        if self._event.get("RequestType") == "Delete" and _never_made(self._event):
            _LOG.warning("answered as removed, for it was never made: %s", reason)
            self._send(self._body("SUCCESS", self._given_id, {}))
            return
        identity = self._event.get("PhysicalResourceId") or physical_id or self._given_id
        body = self._body("FAILED", str(identity), {"Reason": reason})
        if (over := len(body) - BODY_BYTES) > 0:
            # A character is at least a byte.
            cut = reason[: -over - len("...")] + "..."
            body = self._body("FAILED", str(identity), {"Reason": cut})
        self._send(body)

    def _body(self, status: str, physical_id: str, more: Mapping[str, Any]) -> bytes:
        echoed = {key: self._event.get(key, "") for key in _ECHOED}
        answer = {"Status": status, "PhysicalResourceId": physical_id, **echoed, **more}
        return json.dumps(answer).encode()

    def _send(self, body: bytes) -> None:
        with self._lock:
            if self._answered:
                _LOG.warning("not answered again")
                return
            self._put(str(self._event["ResponseURL"]), body)
            self._answered = True


def _never_made(event: Mapping[str, Any]) -> bool:
    return str(event.get("PhysicalResourceId", "")).startswith(NEVER_MADE)


def _request(event: Mapping[str, Any], remaining_seconds: Callable[[], float]) -> Request:
    kind = event.get("RequestType")
    if kind not in _KINDS:
        msg = f"request type {kind!r} is none of {', '.join(_KINDS)}: CloudFormation alone may ask"
        raise ResourceFailedError(msg)
    given = event.get("PhysicalResourceId")
    return Request(
        kind=cast("Literal['Create', 'Update', 'Delete']", kind),
        properties=_own(event.get("ResourceProperties")),
        old_properties=_own(event.get("OldResourceProperties")),
        physical_id=None if given is None or _never_made(event) else str(given),
        stack_id=str(event.get("StackId", "")),
        logical_id=str(event.get("LogicalResourceId", "")),
        request_id=str(event.get("RequestId", "")),
        remaining_seconds=remaining_seconds,
    )


def _own(properties: Mapping[str, Any] | None) -> Mapping[str, Any]:
    protocol = {"ServiceToken", "ServiceTimeout"}
    return {key: value for key, value in (properties or {}).items() if key not in protocol}
