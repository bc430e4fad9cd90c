"""Who listens where on this machine."""

import contextlib
import secrets
import socket

import psutil

from cardwatch.local.errors import LocalStackError

_FIRST, _BELOW = 10_000, 32_768
"""Free for servers; Linux gives outgoing connections the ports above (ip_local_port_range)."""


def check_port(port: int, what: str, setting: str) -> None:
    """Raise LocalStackError, with who holds it if that can be told, when a port is taken."""
    if _can_listen(port):
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
    """Find so many ports in a row that can be listened on; see `free_port`."""
    while True:
        first = _FIRST + secrets.randbelow(_BELOW - _FIRST - count)
        ports = range(first, first + count)
        if all(map(_can_listen, ports)):
            return ports


def free_port() -> int:
    """Find a port that can be listened on; another program may take it until it is used.

    No outgoing connection takes it by chance: those have their ports from where these end.
    """
    return free_ports(1).start


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections of an earlier run that linger do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_holder(port: int) -> str | None:
    """Say who listens on a port, or None when the system does not tell."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return f"{process.name()} (process {process.pid})"
    return None
