"""Keeps the tests on this machine: whoever else is addressed, the test fails and says so."""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

refused: list[str] = []  # what was addressed; a test fails when its list is not empty at the end


class StrangerRefused(AssertionError):
    """The code under test wanted to reach another machine."""


def is_here(host: object) -> bool:
    """Whether a host name or address means this very machine, as far as can be told without asking."""
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def refuse_strangers() -> None:
    """Make Python's sockets refuse every address but the loopback ones, for the rest of this process.

    What C libraries do by themselves is not seen (psycopg, which is given a socket's path only), nor
    are child processes. Called twice, it does nothing the second time.
    """
    if getattr(socket.socket.connect, "guarded", False):
        return
    for name in ("connect", "connect_ex"):
        _guard(socket.socket, name, lambda sock, address, *more: _stranger(sock, address))
    _guard(socket.socket, "sendto", lambda sock, *given: _stranger(sock, given[-1]))
    _guard(socket, "getaddrinfo", lambda host, *more, **named: None if is_here(host) else host)


def _stranger(sock: socket.socket, address: Any) -> object:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None  # a unix socket, or one between the kernel and us
    return None if is_here(address[0]) else address


def _guard(owner: Any, name: str, stranger: Callable[..., object]) -> None:
    original = getattr(owner, name)

    def guarded(*args: Any, **named: Any) -> Any:
        if (address := stranger(*args, **named)) is not None:
            refused.append(f"{name} {address}")
            raise StrangerRefused(f"A test wanted to reach {address}: tests stay on this machine.")
        return original(*args, **named)

    guarded.guarded = True  # type: ignore[attr-defined]
    setattr(owner, name, guarded)
