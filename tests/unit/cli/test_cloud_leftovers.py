import os
import subprocess
import sys
from dataclasses import replace

import pytest

from cnflow.cli import cloud_leftovers
from cnflow.model.machine import Machine, MachineState, Placement, Rate
from cnflow.providers._shared.machines import run_marks
from cnflow.providers._shared.machines.tags import OWNER, ROLE, ROLE_BLOCK, ROLE_INTERCHANGE, ROLE_NETWORK, RUN, owner

NOW = 10_000.0
HOLDER = """\
import sys
from cnflow.providers._shared.machines import run_marks
run_marks.hold(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""


class ListedCloud:
    """A cloud that has the machines that a test names."""

    name = "EC2 in us-east-2"

    def __init__(self, *machines):
        self.machines = {machine.id: machine for machine in machines}
        self.networks = {}
        self.refused = {}

    def list(self, tags):
        return [each for each in self.machines.values() if tags.items() <= each.tags.items()]

    def terminate(self, ids):
        for each in set(ids) - self.refused.keys():
            del self.machines[each]
        return {each: why for each, why in self.refused.items() if each in ids}

    def shared(self, tags):
        return [name for name, own in self.networks.items() if tags.items() <= own.items()]

    def remove_shared(self, tags):
        return [name for name in self.shared(tags) if self.networks.pop(name)]


def machine(name, run, *, role=ROLE_BLOCK, state=MachineState.RUNNING, usd=0.5, launched_at=NOW - 7200):
    tags = {OWNER: owner(), RUN: run, ROLE: role}
    return Machine(name, state, tags, Placement("m5.large", "us-east-2a", rate=Rate(usd)), launched_at=launched_at)


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def driver():
    """Starts a process that holds the mark of a run."""
    started = []

    def start(run):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, run], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_machines_of_a_driver_that_was_killed_are_orphans(driver):
    holder = driver("r1")
    cloud = ListedCloud(machine("i-1", "r1"))
    assert [each.driver for each in cloud_leftovers.survey(cloud).found] == [holder.pid]
    holder.kill()
    holder.wait()
    assert [each.id for each in cloud_leftovers.survey(cloud).orphans] == ["i-1"]


def test_machines_of_others_are_not_listed():
    other = machine("i-1", "r1")
    cloud = ListedCloud(replace(other, tags={**other.tags, OWNER: "somebody-elsewhere"}))
    assert cloud_leftovers.survey(cloud).found == []


def test_machines_that_end_are_not_listed():
    ending = [machine(f"i-{each.value}", "r1", state=each) for each in (MachineState.STOPPING, MachineState.ENDED)]
    assert cloud_leftovers.survey(ListedCloud(*ending)).found == []


def test_orphans_are_ended_and_the_machines_of_a_living_driver_are_not(driver):
    driver("r2")
    cloud = ListedCloud(machine("i-1", "r1"), machine("i-2", "r2"))
    assert cloud_leftovers.end_orphans(cloud, cloud_leftovers.survey(cloud)) == {}
    assert cloud.machines.keys() == {"i-2"}


def test_refusal_of_an_end_is_reported():
    cloud = ListedCloud(machine("i-1", "r1"))
    cloud.refused = {"i-1": "UnauthorizedOperation"}
    assert cloud_leftovers.end_orphans(cloud, cloud_leftovers.survey(cloud)) == {"i-1": "UnauthorizedOperation"}


def test_networks_are_left_while_a_driver_lives(driver):
    holder = driver("r1")
    cloud = ListedCloud(machine("i-1", "r1"))
    cloud.networks = {"vpc-1": {OWNER: owner(), ROLE: ROLE_NETWORK}, "vpc-2": {OWNER: "other", ROLE: ROLE_NETWORK}}
    assert cloud_leftovers.remove_shared(cloud, cloud_leftovers.survey(cloud)) == []
    holder.kill()
    holder.wait()
    assert cloud_leftovers.remove_shared(cloud, cloud_leftovers.survey(cloud)) == ["vpc-1"]
    assert cloud.networks.keys() == {"vpc-2"}


def test_table_tells_cost_and_driver():
    run_marks.hold("r1")
    cloud = ListedCloud(
        machine("i-1", "r1", role=ROLE_INTERCHANGE), machine("i-2", "r2"), machine("i-3", "r3", usd=None)
    )
    printed = cloud_leftovers.table(cloud_leftovers.survey(cloud), NOW)
    run_marks.release("r1")
    assert [line.split()[0] for line in printed.splitlines()[2:]] == ["i-1", "i-2", "i-3"]
    assert "m5.large in us-east-2a" in printed
    assert f"process {os.getpid()}" in printed
    assert "interchange" in printed
    assert "2 h 0 min" in printed
    assert "$1.00" in printed


def test_table_of_nothing_is_a_sentence():
    assert cloud_leftovers.table(cloud_leftovers.survey(ListedCloud()), NOW) == "EC2 in us-east-2: nothing of yours."


def test_cost_without_a_price_is_not_known():
    assert cloud_leftovers.cost_so_far(machine("i-1", "r1", usd=None), NOW) is None
    assert cloud_leftovers.cost_so_far(machine("i-1", "r1", launched_at=None), NOW) is None


def test_mark_is_held_until_its_last_holder_releases_it():
    run_marks.hold("r1")
    run_marks.hold("r1")
    run_marks.release("r1")
    assert run_marks.living_driver("r1") == os.getpid()
    run_marks.release("r1")
    assert run_marks.living_driver("r1") is None
    assert list(run_marks.folder().iterdir()) == []
    run_marks.release("r1")


def test_mark_that_cannot_be_made_is_logged(monkeypatch, tmp_path, caplog):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    run_marks.hold("r1")
    assert "will take the machines of run r1 for orphans" in caplog.text
    run_marks.release("r1")
