"""The guard that keeps tests on this machine."""

import socket

import pytest

from tests import network


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", b"localhost", "", None, "::1%lo"]
)
def test_this_machine_is_reached(host):
    assert network.is_here(host)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "192.0.2.7", "example.org", "localhost.example.org", "2001:db8::1"]
)
def test_others_are_strangers(host):
    assert not network.is_here(host)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("verb", ["connect", "connect_ex"])
def test_connecting_to_a_stranger_is_refused(kind, verb):
    with socket.socket(type=kind) as sock, pytest.raises(network.StrangerRefused, match=r"192\.0\.2\.1"):
        getattr(sock, verb)(("192.0.2.1", 80))
    network.refused.clear()


def test_a_datagram_to_a_stranger_is_refused():
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(network.StrangerRefused):
        sock.sendto(b"", ("192.0.2.1", 53))
    network.refused.clear()


def test_asking_for_a_stranger_s_address_is_refused():
    with pytest.raises(network.StrangerRefused, match=r"example\.org"):
        socket.create_connection(("example.org", 80))
    network.refused.clear()


def test_a_swallowed_refusal_is_still_noticed():
    try:
        socket.create_connection(("192.0.2.1", 80))
    except Exception:  # the careless code this is about
        noticed = list(network.refused)
    network.refused.clear()
    assert len(noticed) == 1
    assert "192.0.2.1" in noticed[0]


def test_loopback_and_unix_sockets_work(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "door"))
        server.listen()
        client.connect(str(tmp_path / "door"))
