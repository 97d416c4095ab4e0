"""Whole runs on machines that are containers in a network of their own, which fetch cnflow from the boot server.

The cloud is one in memory, so that each test decides what goes wrong; those of real
interfaces are in test_ec2_runs.py and its neighbours.
"""

import dataclasses
import uuid

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import HighThroughputExecutor
from cnflow.testing.clouds import REGIONS, FakeMachineProvider, FakeRegion
from tests.services.machines.metadata import Facts
from tests.services.machines.vms import Machines

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.timeout(300)]


@dataclasses.dataclass
class Played:
    """A container as `cnflow.testing.machines.PlayedMachine`."""

    machine: object

    @property
    def address(self):
        return self.machine.address

    def is_alive(self):
        return self.machine.is_running()

    def console(self):
        return self.machine.console()

    def end(self):
        self.machine.remove()


class ContainerPlayer:
    def __init__(self, machines):
        self.machines = machines

    def start(self, name, user_data):
        return Played(self.machines.start(name, user_data.encode(), Facts(name=name)))


@pytest.fixture
def machines(tmp_path):
    found = Machines(f"fake-{uuid.uuid4().hex[:6]}", subnet="10.84.0.0/24", folder=tmp_path / "cloud")
    found.make_network()
    yield found
    found.remove()


@pytest.fixture
def region(tmp_path, machines):
    region = FakeRegion(player=ContainerPlayer(machines))
    REGIONS[str(tmp_path)] = (region, None)
    yield region
    region.close()


@pytest.fixture
def config(tmp_path, region):
    def make(**options):
        provider = FakeMachineProvider(region=str(tmp_path), **options)
        executor = HighThroughputExecutor(label="cloud", provider=provider, max_workers=1)
        return Config(executors=[executor], run_dir=str(tmp_path / "runs"))

    return make


@python_app
def where(number):
    import socket

    return number * number, socket.gethostname()


def test_machines_fetch_cnflow_from_the_driver_and_run_tasks(config, region):
    with cnflow.load(config(init_blocks=2, max_blocks=2)):
        results = [future.result(timeout=200) for future in map(where, range(20))]
    assert [square for square, _ in results] == [number * number for number in range(20)]
    assert {host for _, host in results} <= set(region.machines)
    assert region.living() == {}


def test_from_a_laptop_a_machine_of_its_own_runs_the_interchange(config, region):
    with cnflow.load(config(init_blocks=1, max_blocks=1, is_in_cloud=False)):
        square, host = where(7).result(timeout=250)
        roles = {name: each.request.tags["cnflow-role"] for name, each in region.machines.items()}
        assert square == 49
        assert roles[host] == "block"
        assert sorted(roles.values()) == ["block", "interchange"]
    assert region.living() == {}
    assert len(region.machines) == 2


def test_a_boot_that_fails_is_reported_with_the_words_of_the_machine(config, region):
    options = {"init_blocks": 1, "max_blocks": 1, "user_data": "echo no disk is there >&2; exit 7"}
    with cnflow.load(config(**options)), pytest.raises(cnflow.errors.CnflowError, match="no disk is there"):
        where(1).result(timeout=250)
    assert region.living() == {}
