"""What a run asks of the stack it deployed; the emulator's failures are a LocalStackError here."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.failures import FAILURES, passes, reason
from cardwatch.clock import SystemClock
from cardwatch.contract.fields import format_time
from cardwatch.local.errors import LocalStackError
from cardwatch.local.services.deploy import StackOutputs
from cardwatch.ports import Clock

PATIENCE_SECONDS: Final = 40.0
"""The notifier's own 30 s, and some for the emulator."""
TIMED_OUT: Final = "Sandbox.Timedout"
"""What Lambda calls the failure of a function that took too long."""


class StackControls:
    """Starts the simulator, switches payments, calls the notifier as its schedule does."""

    def __init__(
        self, clients: AwsClients, outputs: StackOutputs, clock: Clock | None = None
    ) -> None:
        """Ask the stack that gave these outputs."""
        self._clients = clients
        self._outputs = outputs
        self._clock = clock or SystemClock()

    def set_payments(self, *, on: bool) -> None:
        """Switch payments on or off; heartbeats and the card registry go on."""
        with _explained("payments could not be switched"):
            self._clients.dynamodb().put_item(
                TableName=self._outputs.control_table,
                Item={"pk": {"S": "control"}, "payments": {"S": "on" if on else "off"}},
            )

    def start_simulator(self) -> None:
        """Start it now: its schedule fires for the first time a minute after it was made."""
        event = {"time": format_time(self._clock.now()), "registry": "full"}
        with _explained("the simulator could not be started"):
            self._clients.lambda_().invoke(
                FunctionName=self._outputs.simulator_function,
                InvocationType="Event",
                Payload=json.dumps(event),
            )

    def call_notifier(
        self, *, patience_seconds: float = PATIENCE_SECONDS, close_groups: bool = False
    ) -> None:
        """Have it do its schedule's work now, which starts a worker where none is free.

        With `close_groups` follow-ups that are not due yet go out as well.

        It is called once: on a machine that is too busy to answer in time pages come later, and
        that is all, whereas to call again would start one more worker beside the first. Raises
        LocalStackError when the notifier fails.
        """
        event = {"groups": "close"} if close_groups else {}
        client = self._clients.impatient_lambda(patience_seconds=patience_seconds)
        with _explained("the notifier could not be called"):
            try:
                answer = client.invoke(
                    FunctionName=self._outputs.notifier_function, Payload=json.dumps(event)
                )
            except FAILURES as error:
                if passes(error):
                    return
                raise
            failed = json.load(answer["Payload"]) if answer.get("FunctionError") else None
        if failed and failed["errorType"] != TIMED_OUT:
            msg = "the notifier fails on its schedule's event"
            raise LocalStackError(msg)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        msg = f"{what}: the AWS emulator gave no answer to use ({reason(error)})"
        raise LocalStackError(msg) from None
