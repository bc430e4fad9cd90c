"""No unit test reaches a network, not even this machine's own."""

import socket
import urllib.request

import pytest
from pytest_socket import SocketBlockedError


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "aws.invalid"])
def test_a_connection_is_refused(host: str) -> None:
    with pytest.raises(SocketBlockedError):
        socket.create_connection((host, 80), timeout=1)
    with pytest.raises(SocketBlockedError):
        urllib.request.urlopen(f"http://{host}/", timeout=1)
