"""How this machine's own programs reach the emulator."""

from urllib.parse import urlsplit

import pytest

from cardwatch.aws.clients import AwsClients
from cardwatch.local.services import ministack
from cardwatch.settings import LocalSettings


@pytest.mark.stack
def test_a_proxy_for_the_outside_is_not_asked_for_what_runs_here(
    emulator: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = urlsplit(emulator.kinesis().meta.endpoint_url).port
    assert port is not None
    streams = emulator.kinesis().list_streams()["StreamNames"]
    tables = emulator.dynamodb().list_tables()["TableNames"]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    clients = ministack.clients(LocalSettings(aws_port=port))
    assert clients.kinesis().list_streams()["StreamNames"] == streams
    assert clients.impatient_dynamodb().list_tables()["TableNames"] == tables
