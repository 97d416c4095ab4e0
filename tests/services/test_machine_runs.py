"""Whole runs on machines that are containers in a network of their own, which fetch cnflow from the boot server.

The cloud is one in memory, so that each test decides what goes wrong; those of real
interfaces are in test_ec2_runs.py and its neighbours.
"""

import dataclasses
import os
import time
import urllib.request
import uuid

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import HighThroughputExecutor
from cnflow.ids import RunId
from cnflow.interfaces import InterchangeRequest
from cnflow.model.image import NO_IMAGE
from cnflow.testing.clouds import REGIONS, FakeMachineBackend, FakeMachineProvider, FakeRegion
from cnflow.units import Seconds
from tests.services.machines.metadata import Facts
from tests.services.machines.vms import Machines, docker

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
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")  # side by side, each has its own network
    found = Machines(f"fake-{uuid.uuid4().hex[:6]}", subnet=f"10.85.{number}.0/24", folder=tmp_path / "cloud")
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


@pytest.mark.long
def test_from_a_laptop_a_machine_of_its_own_runs_the_interchange(config, region):
    with cnflow.load(config(init_blocks=1, max_blocks=1, is_in_cloud=False)):
        square, host = where(7).result(timeout=250)
        roles = {name: each.request.tags["cnflow-role"] for name, each in region.machines.items()}
        assert square == 49
        assert roles[host] == "block"
        assert sorted(roles.values()) == ["block", "interchange"]
    assert region.living() == {}
    assert len(region.machines) == 2


@pytest.mark.long
def test_a_boot_that_fails_is_reported_with_the_words_of_the_machine(config, region):
    options = {"init_blocks": 1, "max_blocks": 1, "user_data": "echo no disk is there >&2; exit 7"}
    with cnflow.load(config(**options)), pytest.raises(cnflow.errors.CnflowError, match="no disk is there"):
        where(1).result(timeout=250)
    assert region.living() == {}


@pytest.mark.long
def test_a_lost_machine_of_the_interchange_is_replaced_and_the_tasks_end(config, region):
    with cnflow.load(config(init_blocks=1, max_blocks=1, is_in_cloud=False)):
        assert where(1).result(timeout=250)[0] == 1
        region.end(machine_of(region, "interchange"))
        assert where(2).result(timeout=280)[0] == 4
    assert region.living() == {}
    assert [each.request.tags["cnflow-role"] for each in region.machines.values()].count("interchange") == 2


def test_a_port_of_the_interchange_is_reached_from_this_machine(region, tmp_path):
    backend = FakeMachineBackend(FakeMachineProvider(region=str(tmp_path), is_in_cloud=False))
    request = InterchangeRequest(RunId("run"), "cloud", NO_IMAGE, (5733, 5799), Seconds(60.0), has_local_blocks=True)
    placed = backend.place_interchange(request)
    try:
        assert list(placed.addresses)[1:] == ["127.0.0.1"]
        container = region.machines[machine_of(region, "interchange")].played.machine.container
        docker("exec", "--detach", container, "python3", "-m", "http.server", str(placed.port))
        assert b"Directory listing" in answer_of(f"http://127.0.0.1:{placed.port}/")
    finally:
        placed.close()
        backend.close()
    assert region.living() == {}


def machine_of(region, role):
    return next(name for name, each in region.living().items() if each.tags["cnflow-role"] == role)


def answer_of(url, seconds=60.0):
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.read()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
