"""The simulator's control table, on moto and on the local stack."""

import pytest

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.simulator_control import DynamoDBSimulatorControl
from cardwatch.simulation.control import Control, ControlUnavailableError, Handover

FIRST = Handover(1_795_244_400_000, "a", 8_976_222_000)
SECOND = Handover(1_795_244_460_000, "b", 8_976_222_320)


def test_an_empty_table_says_nothing(aws: AwsClients, control_table: str) -> None:
    assert DynamoDBSimulatorControl(aws.impatient_dynamodb(), control_table).read() == Control()


def test_hand_overs_come_back_as_written(aws: AwsClients, control_table: str) -> None:
    control = DynamoDBSimulatorControl(aws.impatient_dynamodb(), control_table)
    assert control.write_handovers((FIRST,), after=None)
    assert control.read().last == FIRST
    assert control.write_handovers((FIRST, SECOND), after=FIRST)
    assert control.read() == Control((FIRST, SECOND))


@pytest.mark.parametrize("after", [None, SECOND, Handover(FIRST.generation, "x", 0)])
def test_who_read_something_else_than_what_is_there_writes_nothing(
    aws: AwsClients, control_table: str, after: Handover | None
) -> None:
    control = DynamoDBSimulatorControl(aws.impatient_dynamodb(), control_table)
    control.write_handovers((FIRST,), after=None)
    assert not control.write_handovers((FIRST, SECOND), after=after)
    assert control.read() == Control((FIRST,))


def test_nobody_takes_over_from_somebody_who_is_not_there(
    aws: AwsClients, control_table: str
) -> None:
    control = DynamoDBSimulatorControl(aws.impatient_dynamodb(), control_table)
    assert not control.write_handovers((FIRST, SECOND), after=FIRST)


def test_switches_are_read_and_survive_a_hand_over(aws: AwsClients, control_table: str) -> None:
    control = DynamoDBSimulatorControl(aws.impatient_dynamodb(), control_table)
    item = {"pk": {"S": "control"}, "payments": {"S": "off"}, "payments_per_second": {"N": "0.5"}}
    aws.dynamodb().put_item(TableName=control_table, Item=item)
    control.write_handovers((FIRST,), after=None)
    assert control.read() == Control((FIRST,), payments=False, payments_per_second=0.5)


@pytest.mark.parametrize(
    ("payments", "rate", "problems"),
    [
        ({"S": "maybe"}, {"N": "20"}, 1),
        ({"BOOL": True}, {"N": "20"}, 1),
        ({"S": "on"}, {"N": "0"}, 1),
        ({"S": "on"}, {"N": "-3"}, 1),
        ({"S": "on"}, {"N": "10001"}, 1),
        ({"S": "on"}, {"S": "20"}, 1),
        ({"N": "1"}, {"S": "fast"}, 2),
    ],
)
def test_a_wrong_switch_is_named_and_left_to_the_settings(
    aws: AwsClients,
    control_table: str,
    payments: dict[str, str],
    rate: dict[str, str],
    problems: int,
) -> None:
    item = {"pk": {"S": "control"}, "payments": payments, "payments_per_second": rate}
    aws.dynamodb().put_item(TableName=control_table, Item=item)
    control = DynamoDBSimulatorControl(aws.impatient_dynamodb(), control_table).read()
    assert len(control.problems) == problems
    assert [control.payments, control.payments_per_second].count(None) == problems


def test_a_table_that_is_not_there_is_unavailable_by_name(aws: AwsClients) -> None:
    control = DynamoDBSimulatorControl(aws.impatient_dynamodb(), "nowhere")
    with pytest.raises(ControlUnavailableError, match=r"nowhere cannot be read .Resource"):
        control.read()
    with pytest.raises(ControlUnavailableError, match=r"nowhere cannot be written .Res"):
        control.write_handovers((FIRST,), after=None)


@pytest.mark.usefixtures("aws_environment")
def test_an_endpoint_that_does_not_answer_is_unavailable_at_once() -> None:
    control = DynamoDBSimulatorControl(
        AwsClients(endpoint_url="http://127.0.0.1:9").impatient_dynamodb(), "control"
    )
    with pytest.raises(ControlUnavailableError, match="EndpointConnectionError"):
        control.read()
