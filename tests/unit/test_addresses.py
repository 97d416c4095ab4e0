import socket
import threading
import time

import pytest

from cnflow.addresses import (
    address_by_interface,
    address_by_query,
    addresses_of_interfaces,
    addresses_of_this_machine,
    first_reachable,
    get_all_addresses,
    get_any_address,
    host_and_port,
    in_url,
    is_ip,
    is_loopback,
    is_own,
    tcp_url,
)
from cnflow.errors import ConfigurationError


def test_loopback_interface_has_the_loopback_address():
    assert address_by_interface("lo") == "127.0.0.1"
    assert "127.0.0.1" in addresses_of_interfaces()


def test_unknown_interface_is_an_error():
    with pytest.raises(OSError, match="No such device"):
        address_by_interface("nosuch0")


def test_is_loopback_recognizes_loopback_addresses_and_names():
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.0.1", "localhost", "::1", "192.0.2.1", "fd00::2")] == [
        *[True] * 4,
        *[False] * 2,
    ]


def test_is_own_accepts_only_addresses_of_this_machine():
    assert is_own("127.0.0.1")
    assert not is_own("192.0.2.1")
    assert not is_own("2001:db8::1")
    assert not is_own("no-such-host.invalid")


def test_loopback_is_the_last_address_of_this_machine():
    assert addresses_of_this_machine()[-1] == "127.0.0.1"


def test_get_any_address_returns_the_likeliest_address():
    assert get_any_address() == addresses_of_this_machine()[0]
    assert get_all_addresses() == {*addresses_of_interfaces(), *addresses_of_this_machine()}


def test_is_ip_distinguishes_addresses_from_names():
    assert [is_ip(host) for host in ("127.0.0.1", "::1", "localhost", "1.2.3", "")] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("address", "port", "url"),
    [
        ("127.0.0.1", 55001, "tcp://127.0.0.1:55001"),
        ("127.0.0.1", "55001", "tcp://127.0.0.1:55001"),
        ("127.0.0.1", None, "tcp://127.0.0.1"),
        ("::1", "55001", "tcp://[::1]:55001"),
        ("::ffff:127.0.0.1", 55001, "tcp://[::ffff:127.0.0.1]:55001"),
        ("::ffff:127.0.0.1", None, "tcp://::ffff:127.0.0.1"),
        ("host.docker.internal", 1, "tcp://host.docker.internal:1"),
        ("*", None, "tcp://*"),
        ("*", 55001, "tcp://*:55001"),
    ],
)
def test_ipv6_address_is_in_brackets_before_a_port(address, port, url):
    assert tcp_url(address, port) == url


def test_host_and_port_are_parsed():
    assert host_and_port("stats.example.org:50077") == ("stats.example.org", 50077)
    assert host_and_port(" 127.0.0.1:1 ") == ("127.0.0.1", 1)
    assert host_and_port("[::1]:65535") == ("::1", 65535)
    assert in_url(host_and_port("[::1]:1")[0]) == "[::1]"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        ":1",
        "host:",
        "host:0",
        "host:65536",
        "host:x",
        "::1:5",
        "[::1]",
        "[host]:1",
        "a b:1",
        "h:1:2",
        "h:¹",
    ],
)
def test_text_that_is_no_host_and_port_is_refused(text):
    with pytest.raises(ValueError, match="written 'host:port'"):
        host_and_port(text)


def test_address_by_query_requires_the_url_of_a_service():
    with pytest.raises(ConfigurationError, match=r"cnflow has no default for it. Write address_by_query\(url="):
        address_by_query()
    with pytest.raises(ConfigurationError, match="'file:///etc/hostname' is no URL of one"):
        address_by_query(url="file:///etc/hostname")


@pytest.fixture
def bound():
    """Socket that has a port and refuses connections until it listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        yield listening


def test_host_that_refuses_at_first_is_tried_again_until_it_accepts(bound):
    timer = threading.Timer(0.5, bound.listen)
    timer.start()
    assert first_reachable(["127.0.0.1"], bound.getsockname()[1], 20) == "127.0.0.1"
    timer.join()


def test_host_that_goes_on_refusing_is_tried_for_the_whole_time(bound):
    begin = time.monotonic()
    assert first_reachable(["127.0.0.1"], bound.getsockname()[1], 0.5) is None
    assert 0.5 <= time.monotonic() - begin < 5


def test_host_that_listens_is_found_even_if_no_time_is_left(bound):
    bound.listen()
    assert first_reachable(["127.0.0.1"], bound.getsockname()[1], 0) == "127.0.0.1"


def test_address_to_which_the_kernel_refuses_a_route_is_not_reachable():
    """The broadcast address: the attempt fails at once, and its socket has no error left to ask for."""
    assert first_reachable(["255.255.255.255"], 9, 0.1) is None
