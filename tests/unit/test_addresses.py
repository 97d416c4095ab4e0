import pytest

from cnflow.addresses import (
    address_by_interface,
    addresses_of_interfaces,
    addresses_of_this_machine,
    is_loopback,
    is_own,
)


def test_the_loopback_interface_has_the_loopback_address():
    assert address_by_interface("lo") == "127.0.0.1"
    assert "127.0.0.1" in addresses_of_interfaces()


def test_an_interface_that_is_not_there_is_an_error():
    with pytest.raises(OSError, match="No such device"):
        address_by_interface("nosuch0")


def test_loopback_is_told_from_other_addresses():
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.0.1", "localhost", "192.0.2.1")] == [
        True,
        True,
        True,
        False,
    ]


def test_only_addresses_of_this_machine_are_its_own():
    assert is_own("127.0.0.1")
    assert not is_own("192.0.2.1")


def test_loopback_comes_last_among_the_addresses_of_this_machine():
    assert addresses_of_this_machine()[-1] == "127.0.0.1"
