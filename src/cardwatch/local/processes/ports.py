"""Who listens where on this machine."""

import contextlib
import socket
from typing import Final

import psutil

from cardwatch.local.errors import LocalStackError

_PORTS: Final = 65_536


def check_port(port: int, what: str, setting: str) -> None:
    """Raise LocalStackError, with who holds it if that can be told, when a port is taken."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier run that linger do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            pass
        else:
            return
    holder = port_holder(port)
    by = f" by {holder}" if holder else ""
    msg = (
        f"port {port} for {what} is taken{by}; end that process, or choose another port "
        f"with {setting}=<port>"
    )
    raise LocalStackError(msg)


def answers(port: int) -> bool:
    """Say whether anybody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> range:
    """Find so many ports in a row that nobody listens on; see `free_port`."""
    while True:
        first = free_port()
        ports = range(first, first + count)
        if ports.stop <= _PORTS and not any(map(answers, ports)):
            return ports


def free_port() -> int:
    """Find a port that nobody listens on; somebody else may take it until it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_holder(port: int) -> str | None:
    """Say who listens on a port, or None when the system does not tell."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return f"{process.name()} (process {process.pid})"
    return None
