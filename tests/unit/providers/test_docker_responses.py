import subprocess
import sys

import pytest

from cnflow.model.block import BlockState, BlockStatus, EndCause
from cnflow.providers.docker.networking import gateways_of, reachable_hosts
from cnflow.providers.docker.responses import cause_of, find_abandoned, seconds_of, status_of_listed


@pytest.mark.parametrize(
    ("state", "words", "status"),
    [
        ("created", "Created", BlockStatus(BlockState.PENDING)),
        ("running", "Up 2 seconds", BlockStatus(BlockState.RUNNING)),
        ("exited", "Exited (0) 1 second ago", BlockStatus(BlockState.ENDED, exit_code=0)),
        (
            "exited",
            "Exited (3) 1 second ago",
            BlockStatus(BlockState.FAILED, "Exited (3) 1 second ago", EndCause.OTHER, 3),
        ),
        ("removing", "Removal In Progress", BlockStatus(BlockState.ENDED)),
        ("of a later version", "Whatever", BlockStatus(BlockState.UNKNOWN)),
    ],
)
def test_a_container_that_an_engine_lists_has_a_status(state, words, status):
    assert status_of_listed(state, words) == status


def test_an_engine_here_is_reached_by_its_networks_gateway_alone():
    assert reachable_hosts(["172.17.0.1"], ["10.0.0.5", "127.0.0.1"], local=True) == ["172.17.0.1"]


def test_an_engine_here_whose_gateway_is_elsewhere_is_offered_all_addresses():
    assert reachable_hosts([], ["10.0.0.5", "127.0.0.1"], local=True) == ["10.0.0.5"]


def test_a_remote_engine_is_never_offered_a_gateway():
    assert reachable_hosts(["172.17.0.1"], ["10.0.0.5", "127.0.0.1"], local=False) == ["10.0.0.5"]


def test_an_engine_that_may_be_here_is_offered_both():
    assert reachable_hosts(["172.17.0.1"], ["10.0.0.5"], local=None) == ["172.17.0.1", "10.0.0.5"]


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
def test_a_networks_gateway_is_the_one_it_names_or_its_first_address(ipam, gateways):
    assert gateways_of({"IPAM": {"Config": ipam}}) == gateways


def test_times_of_an_engine_are_read_whatever_its_zone():
    assert seconds_of("1970-01-01T00:01:00.123456789Z") == 60
    assert seconds_of("1970-01-01T02:01:00.5+02:00") == 60


def test_a_container_that_was_created_long_ago_and_never_started_is_abandoned():
    assert find_abandoned([{"Id": "old", "Created": 1000}, {"Id": "young", "Created": 1900}], now=2000.0) == ["old"]


def test_a_container_killed_under_a_memory_limit_was_out_of_memory():
    assert cause_of(137, has_memory_limit=True) is EndCause.OOM
    assert cause_of(137, has_memory_limit=False) is None
    assert cause_of(1, has_memory_limit=True) is None


def test_a_preview_needs_no_sdk():
    source = (
        "import sys; sys.modules['docker'] = None\n"
        "from cnflow.cli.request_preview import preview_requests\n"
        "from cnflow.config import Config, DockerProvider, HighThroughputExecutor\n"
        "print(preview_requests(Config(executors=[HighThroughputExecutor(provider=DockerProvider())])))"
    )
    shown = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True).stdout
    assert "cnflow-RUN-htex-0" in shown


def test_a_check_without_the_sdk_advises_to_install_it():
    source = (
        "import sys; sys.modules['docker'] = None\n"
        "from cnflow.config import DockerProvider\n"
        "from cnflow.providers.docker.provider import DockerBackend\n"
        "print(DockerBackend(DockerProvider()).check())"
    )
    shown = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True).stdout
    assert "Run: pip install 'cnflow[docker]'" in shown
