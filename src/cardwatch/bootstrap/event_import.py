"""Wires what the command line imports events with."""

from cardwatch.aws.clients import AwsClients
from cardwatch.aws.event_stream import KinesisEventStream
from cardwatch.aws.token_keys import SecretsManagerTokenKeys
from cardwatch.cards.tokenizer import Tokenizer
from cardwatch.clock import SystemClock
from cardwatch.ports import EventStream


def build_tokenizer(token_key_secret: str, clients: AwsClients) -> Tokenizer:
    """Give the tokenizer under a stack's key; raises TokenKeyError."""
    return Tokenizer(SecretsManagerTokenKeys(clients.secrets(), token_key_secret).current())


def build_stream(stream_name: str, clients: AwsClients) -> EventStream:
    """Give a stack's stream."""
    return KinesisEventStream(clients.kinesis(), stream_name, SystemClock())
