"""The stager's card registry, on moto and on the local stack."""

import random
from datetime import timedelta

import pytest
from tests.deployed import create_key_table
from tests.fakes import NOON

from cardwatch.aws.card_registry import DynamoDBCardRegistry
from cardwatch.aws.clients import AwsClients
from cardwatch.staging.ports import KnownStatus, RegistryUnavailableError

CARD = "4f0c" * 8


def known(minutes: float = 0, *, stolen: bool = True, card: str = CARD) -> KnownStatus:
    return KnownStatus(card, stolen, NOON + timedelta(minutes=minutes))


@pytest.fixture
def registry(aws: AwsClients) -> DynamoDBCardRegistry:
    """Give a registry on a table like the template's CardRegistryTable."""
    name = f"registry-{random.getrandbits(32):08x}"
    create_key_table(aws, name)
    return DynamoDBCardRegistry(aws.impatient_dynamodb(), name)


def test_nothing_is_known_of_a_card_that_was_not_seen(registry: DynamoDBCardRegistry) -> None:
    assert registry.read([CARD]) == {}
    assert registry.read([]) == {}


def test_what_is_written_is_read(registry: DynamoDBCardRegistry) -> None:
    registry.write(known())
    assert registry.read([CARD, "0" * 32]) == {CARD: known()}


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (known(0), known(1, stolen=False), known(1, stolen=False)),
        (known(1, stolen=False), known(0), known(1, stolen=False)),
        (known(0), known(0, stolen=False), known(0)),
        (known(0, stolen=False), known(0), known(0)),
        (known(-0.001), known(0, stolen=False), known(0, stolen=False)),
    ],
    ids=["cleared", "older comes later", "tie", "tie, the other order", "milliseconds"],
)
def test_the_newest_status_is_kept_and_of_two_from_the_same_instant_stolen(
    registry: DynamoDBCardRegistry, first: KnownStatus, second: KnownStatus, kept: KnownStatus
) -> None:
    registry.write(first)
    registry.write(second)
    found = registry.read([CARD])[CARD]
    assert (found.stolen, found.effective_from) == (kept.stolen, kept.effective_from)
    assert kept.outdates(found) is found.outdates(kept) is False


def test_many_cards_are_read_at_once(registry: DynamoDBCardRegistry) -> None:
    cards = [f"{number:032x}" for number in range(230)]
    for card in cards[::2]:
        registry.write(known(card=card))
    assert set(registry.read(cards)) == set(cards[::2])


def test_a_missing_table_is_named_with_the_error_s_code(aws: AwsClients) -> None:
    registry = DynamoDBCardRegistry(aws.impatient_dynamodb(), "nowhere")
    with pytest.raises(RegistryUnavailableError, match=r"nowhere cannot be read \(Resource"):
        registry.read([CARD])
    with pytest.raises(RegistryUnavailableError, match=r"nowhere cannot be written \(Resource"):
        registry.write(known())


def test_an_unreachable_table_fails_at_once(aws_environment: None) -> None:  # noqa: ARG001 - sets
    clients = AwsClients(endpoint_url="http://127.0.0.1:9")
    with pytest.raises(RegistryUnavailableError, match="EndpointConnectionError"):
        DynamoDBCardRegistry(clients.impatient_dynamodb(), "t").read([CARD])
