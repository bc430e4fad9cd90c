"""The risk desk's program runs its own detections, and goes on where it was killed."""

import dataclasses
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest
from tests.adapters.card_stream import STREAM, Stream, wait_for
from tests.flink.running import ROOT

from cardwatch.aws.clients import AwsClients
from cardwatch.local.processes.ports import free_port
from cardwatch.local.processes.run_folder import RunFolder, leftovers
from cardwatch.local.processes.supervisor import Supervisor
from cardwatch.local.services.deploy import StackOutputs
from cardwatch.local.services.risk_desk import PROGRAM, RiskDesk
from cardwatch.settings import LocalSettings

pytestmark = [pytest.mark.flink, pytest.mark.stack]

START = 300.0
"""Its start takes some 40 CPU s, at the lowest priority: as long as what runs beside it lets it."""


@dataclass
class Running:
    """The risk desk over a stream."""

    desk: RiskDesk
    supervisor: Supervisor
    stream: Stream

    def checkpoints(self) -> int:
        health = self.desk.health()
        return health.checkpoints if health else 0


@pytest.fixture
def running(emulator: AwsClients, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    stream = Stream(emulator)
    run = RunFolder(tmp_path_factory.mktemp("desk") / "var")
    run.acquire()
    port = int(stream.kinesis.meta.endpoint_url.rsplit(":", 1)[1])
    settings = LocalSettings(var=run.var, aws_port=port, risk_desk_port=free_port(), metrics_port=0)
    names = {field.name: "unused" for field in dataclasses.fields(StackOutputs)}
    streams = {"stream_name": STREAM, "scores_stream_name": STREAM}
    outputs = StackOutputs(**(names | streams))  # type: ignore[arg-type]
    desk = RiskDesk(settings, ROOT)
    with Supervisor(run) as supervisor:
        supervisor.start(desk.program("local", outputs))
        supervisor.wait_ready(PROGRAM, timeout_seconds=START)
        yield Running(desk, supervisor, stream)
    assert leftovers(run) == []
    run.release()
    stream.close()


def test_a_killed_risk_desk_goes_on_from_its_checkpoint_and_leaves_no_process(
    running: Running,
) -> None:
    desk, stream, supervisor = running.desk, running.stream, running.supervisor
    stream.pay("pay_before", amount="50000.00")
    wait_for(lambda: stream.finds_large("pay_before"))
    taken = running.checkpoints()
    wait_for(lambda: running.checkpoints() > taken)

    program = psutil.Process(supervisor.pids()[PROGRAM])
    children = program.children(recursive=True)
    os.kill(program.pid, signal.SIGKILL)
    stream.pay("pay_meanwhile", amount="50000.00")
    # A copy: it is known to whoever kept its state, and found again by whoever began anew.
    stream.pay("pay_before", amount="50000.00")
    wait_for(desk.runs, START)
    wait_for(lambda: stream.finds_large("pay_meanwhile"))
    stream.pay("pay_after", amount="50000.00")
    wait_for(lambda: stream.finds_large("pay_after"))

    assert stream.large == {"pay_before": 1, "pay_meanwhile": 1, "pay_after": 1}
    assert stream.alerts == {}, "stolen cards are the other application's"
    assert supervisor.restarts() == {PROGRAM: 1}
    wait_for(lambda: not any(child.is_running() for child in children))
