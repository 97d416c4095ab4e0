from pathlib import Path

import pytest

from cnflow.config import DialIn, HighThroughputExecutor, Listen, Tunnel
from cnflow.errors import ConfigurationError
from cnflow.executors.high_throughput import ways
from cnflow.model.manager_settings import ListenSettings

LOGS = Path("/run/htex")


def executor(**settings):
    return HighThroughputExecutor(**settings)


@pytest.mark.parametrize(
    ("settings", "hosts", "encrypted"),
    [
        ({}, ["10.9.9.9"], True),
        ({"address": "127.0.0.1"}, ["127.0.0.1"], False),
        ({"way": DialIn(addresses=["a", "b"])}, ["a", "b"], True),
        ({"way": Listen()}, [], True),
        ({"way": Listen(), "encrypted": False}, [], False),
        ({"way": Tunnel(address="127.0.0.1:5")}, ["127.0.0.1"], True),
        ({"way": Tunnel(address="127.0.0.1:5"), "address": "10.0.0.1"}, ["10.0.0.1"], True),
    ],
)
def test_interchange_listens_where_the_way_leads(settings, hosts, encrypted):
    found = ways.hosts_to_bind(executor(**settings), lambda: ["10.9.9.9"])
    assert found == hosts
    assert ways.is_encrypted(executor(**settings), found) is encrypted


def test_provider_with_a_socket_file_needs_no_keys():
    assert not ways.is_encrypted(executor(), [])


@pytest.mark.parametrize(
    ("way", "endpoint"),
    [
        (DialIn(), (["10.0.0.1"], "tcp://{host}:7")),
        (Listen(), ([], "listen:/run/htex/addresses")),
        (Listen(folder="/shared"), ([], "listen:/shared/cnflow-r1-htex")),
        (Tunnel(address="gate:5000"), (["gate"], "tcp://{host}:5000")),
        (Tunnel(address="127.0.0.1:{port}"), (["127.0.0.1"], "tcp://{host}:7")),
    ],
)
def test_managers_get_the_end_that_they_can_use(way, endpoint):
    folder = ways.address_folder(way, LOGS, "r1", "htex")
    assert ways.manager_endpoint(way, ["10.0.0.1", None], "tcp://{host}:7", 7, folder) == endpoint


def test_listening_managers_get_folder_ports_and_interface():
    way = Listen(ports=(5000, 5009), interface="ib0")
    settings = ways.listen_settings(way, "listen:/shared/x")
    assert settings == ListenSettings(folder="/shared/x", ports=(5000, 5009), interface="ib0")
    assert ways.listen_settings(DialIn(), "tcp://{host}:7") is None


def test_words_about_a_tunnel_name_its_near_end():
    assert ways.tunnel_address(Tunnel(address="127.0.0.1:{port}"), "tcp://{host}:7") == "127.0.0.1:7"
    assert ways.tunnel_address(DialIn(), "tcp://{host}:7") == ""


@pytest.mark.parametrize(
    ("way", "endpoint", "then"),
    [(DialIn(), "listen:/x", "listen"), (Listen(), "tcp://{host}:7", "connect by themselv")],
)
def test_managers_of_a_killed_driver_are_not_taken_over_in_another_way(way, endpoint, then):
    with pytest.raises(ConfigurationError, match=f"that are to be taken over {then}"):
        ways.refuse_other_way("htex", way, endpoint)


def test_managers_of_a_killed_driver_are_taken_over_in_the_same_way():
    ways.refuse_other_way("htex", Listen(), "listen:/x")
    ways.refuse_other_way("htex", DialIn(), "ipc:///x")
