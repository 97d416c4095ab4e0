import subprocess
import sys

import pytest

pytest.importorskip("docker", reason="No Docker SDK. Run: pip install 'cnflow[docker]'")

from cnflow.model.block import BlockState, BlockStatus
from cnflow.providers.docker.networking import gateways_of, hosts
from cnflow.providers.docker.provider import abandoned, listed_status, seconds_of


@pytest.mark.parametrize(
    ("state", "words", "status"),
    [
        ("created", "Created", BlockStatus(BlockState.PENDING)),
        ("running", "Up 2 seconds", BlockStatus(BlockState.RUNNING)),
        ("exited", "Exited (0) 1 second ago", BlockStatus(BlockState.ENDED)),
        ("exited", "Exited (3) 1 second ago", BlockStatus(BlockState.FAILED, "Exited (3) 1 second ago")),
        ("removing", "Removal In Progress", BlockStatus(BlockState.ENDED)),
    ],
)
def test_what_an_engine_lists_is_a_status(state, words, status):
    assert listed_status(state, words) == status


def test_an_engine_here_is_reached_by_its_networks_gateway_alone():
    assert hosts(["172.17.0.1"], ["10.0.0.5", "127.0.0.1"], local=True) == ["172.17.0.1"]


def test_an_engine_here_whose_gateway_is_elsewhere_is_offered_all_addresses():
    assert hosts([], ["10.0.0.5", "127.0.0.1"], local=True) == ["10.0.0.5"]


def test_a_remote_engine_is_never_offered_a_gateway():
    assert hosts(["172.17.0.1"], ["10.0.0.5", "127.0.0.1"], local=False) == ["10.0.0.5"]


def test_an_engine_that_may_be_here_is_offered_both():
    assert hosts(["172.17.0.1"], ["10.0.0.5"], local=None) == ["172.17.0.1", "10.0.0.5"]


@pytest.mark.parametrize(
    ("ipam", "gateways"),
    [
        ([{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.9"}], ["172.18.0.9"]),
        ([{"Subnet": "172.17.0.0/16"}], ["172.17.0.1"]),
        ([{"Subnet": "fd00::/64", "Gateway": "fd00::1"}], []),
        ([], []),
        (None, []),
    ],
)
def test_a_network_tells_its_gateway_or_has_the_first_address(ipam, gateways):
    assert gateways_of({"IPAM": {"Config": ipam}}) == gateways


def test_times_of_an_engine_are_read_whatever_its_zone():
    assert seconds_of("1970-01-01T00:01:00.123456789Z") == 60
    assert seconds_of("1970-01-01T02:01:00.5+02:00") == 60


def test_a_container_that_was_created_long_ago_and_never_started_is_abandoned():
    assert abandoned([{"Id": "old", "Created": 1000}, {"Id": "young", "Created": 1900}], now=2000.0) == ["old"]


def test_the_requests_can_be_made_where_the_sdk_is_not_installed():
    source = "import sys; sys.modules['docker'] = None; from cnflow.providers.docker import create_arguments"
    subprocess.run([sys.executable, "-c", source], check=True)
