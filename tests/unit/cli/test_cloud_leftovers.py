import io
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from cnflow.cli import cloud_leftovers
from cnflow.config.files import load_config
from cnflow.errors import BlockError, ConfigurationError
from cnflow.model.machine import Machine, MachineRequest, MachineState, Placement, Rate
from cnflow.providers._shared.machines import run_marks
from cnflow.providers._shared.machines.tags import (
    OWNER,
    ROLE,
    ROLE_BLOCK,
    ROLE_INTERCHANGE,
    RUN,
    network_tags,
    owner,
    tag_value,
)
from cnflow.testing.boot_sites import DirectBootSite
from cnflow.testing.clouds import REGIONS, FakeCloud, FakeMachineProvider, FakeRegion

NOW = 10_000.0
HOLDER = """\
import sys
from cnflow.providers._shared.machines import run_marks
run_marks.hold(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""
CONFIG = """\
from cnflow import Config
from cnflow.config import HighThroughputExecutor
from cnflow.testing.boot_sites import DirectBootSite
from cnflow.testing.clouds import FakeMachineProvider
config = Config(executors=[HighThroughputExecutor(provider=FakeMachineProvider(region="test"))])
"""


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def region(monkeypatch):
    made = FakeRegion()
    monkeypatch.setitem(REGIONS, "test", (made, DirectBootSite))
    return made


@pytest.fixture
def cloud(region):
    return FakeCloud(FakeMachineProvider(region="test"), region)


@pytest.fixture
def launch(region):
    """Starts a machine of a run; returns its id."""

    def start(run, *, role=ROLE_BLOCK, of="", **tags):
        own = {OWNER: of or owner(), RUN: run, ROLE: role, **tags}
        token = f"{len(region.machines)}"
        return region.add(MachineRequest(f"m{token}", token, region.placements[0], own, "#!/bin/sh\n")).id

    return start


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


def test_machines_of_a_driver_that_was_killed_are_orphans(cloud, launch, driver):
    holder = driver("r1")
    machine = launch("r1")
    assert [each.driver for each in cloud_leftovers.survey(cloud).found] == [holder.pid]
    holder.kill()
    holder.wait()
    assert [each.id for each in cloud_leftovers.survey(cloud).orphans] == [machine]


def test_machines_of_others_are_not_listed(cloud, launch):
    launch("r1", of="somebody-elsewhere")
    assert cloud_leftovers.survey(cloud).found == []


def test_machines_that_have_ended_are_not_listed(cloud, launch, region):
    region.end(launch("r1"))
    assert cloud_leftovers.survey(cloud).found == []


def test_machines_that_the_cloud_keeps_after_their_end_are_orphans_until_they_are_terminated(cloud, launch, region):
    region.keeps_ended = True
    machine = launch("r1")
    region.end(machine)
    seen = cloud_leftovers.survey(cloud)
    assert [each.id for each in seen.orphans] == [machine]
    assert cloud_leftovers.end_orphans(cloud, seen) == {}
    assert region.living() == {}


def test_networks_are_left_while_another_run_lives_that_has_no_machine_now(cloud, driver, region, request_for):
    from cnflow.config.registry import backend_of

    settings = FakeMachineProvider(region="test", create_network=True)
    backend = backend_of(settings)(settings)
    backend.prepare(request_for().image)
    [native] = backend.submit([request_for()]).values()
    backend.cancel([native])
    other = driver("r2")
    assert cloud_leftovers.remove_shared(cloud, cloud_leftovers.survey(cloud)) == []
    backend.close()
    assert region.networks
    other.kill()
    other.wait()
    backend = backend_of(settings)(settings)
    backend.submit([request_for()])
    backend.cancel([native])
    backend.close()
    assert region.networks == {}


def test_orphans_are_ended_and_the_machines_of_a_living_driver_are_not(cloud, launch, driver, region):
    driver("r2")
    launch("r1")
    kept = launch("r2")
    assert cloud_leftovers.end_orphans(cloud, cloud_leftovers.survey(cloud)) == {}
    assert region.living().keys() == {kept}


def test_refusal_of_an_end_is_reported(cloud, launch, monkeypatch):
    machine = launch("r1")
    monkeypatch.setattr(cloud, "terminate", lambda ids: dict.fromkeys(ids, "UnauthorizedOperation"))
    assert cloud_leftovers.end_orphans(cloud, cloud_leftovers.survey(cloud)) == {machine: "UnauthorizedOperation"}


def test_networks_are_left_while_a_driver_lives(cloud, launch, driver, region):
    holder = driver("r1")
    launch("r1")
    region.networks = {"net-1": network_tags(), "net-2": {OWNER: "other"}}
    assert cloud_leftovers.remove_shared(cloud, cloud_leftovers.survey(cloud)) == []
    holder.kill()
    holder.wait()
    seen = cloud_leftovers.survey(cloud)
    cloud_leftovers.end_orphans(cloud, seen)
    assert cloud_leftovers.remove_shared(cloud, seen) == ["net-1"]
    assert region.networks.keys() == {"net-2"}


def machine_at(price, launched_at=NOW - 7200):
    placement = Placement("m5.large", "us-east-2a", rate=Rate(price))
    return Machine("i-1", MachineState.RUNNING, {RUN: "r1"}, placement, launched_at=launched_at)


def test_table_tells_cost_use_and_driver():
    found = [
        cloud_leftovers.Leftover(replace(machine_at(0.5), tags={RUN: "r1", ROLE: ROLE_INTERCHANGE}), 4711),
        cloud_leftovers.Leftover(replace(machine_at(None), id="i-2", tags={RUN: "r2", ROLE: ROLE_BLOCK}), None),
    ]
    printed = cloud_leftovers.table(cloud_leftovers.Survey("EC2", found, ["vpc-1"]), NOW).splitlines()
    assert "m5.large in us-east-2a" in printed[2]
    assert [word in printed[2] for word in ("interchange", "2 h 0 min", "$1.00", "process 4711")] == [True] * 4
    assert printed[3].split()[-4:] == ["min", "-", "r2", "gone"]
    assert printed[4] == "shared by machines: vpc-1"


def test_table_of_nothing_is_a_sentence(cloud):
    assert cloud_leftovers.table(cloud_leftovers.survey(cloud), NOW) == "the fake cloud: nothing of yours."


def test_cost_without_a_price_is_not_known():
    assert cloud_leftovers.cost_so_far(machine_at(None), NOW) is None
    assert cloud_leftovers.cost_so_far(machine_at(0.5, launched_at=None), NOW) is None


def test_command_ends_orphans(run_cnflow, launch, region, tmp_path):
    machine = launch("r1")
    (tmp_path / "config.py").write_text(CONFIG)
    code, printed, _ = run_cnflow("clean", "--cloud", "--config", tmp_path / "config.py", "--yes")
    assert code == 0
    assert machine in printed
    assert "1 machine ended" in printed
    assert region.living() == {}


def test_command_ends_nothing_without_a_confirmation(run_cnflow, launch, region, tmp_path, monkeypatch):
    launch("r1")
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    (tmp_path / "config.py").write_text(CONFIG)
    code, *_ = run_cnflow("clean", "--cloud", "--config", tmp_path / "config.py")
    assert code == 1
    assert len(region.living()) == 1


def test_command_reports_a_cloud_that_does_not_answer(run_cnflow, region, tmp_path):
    region.fail("list", BlockError("the token has expired; log in again"))
    (tmp_path / "config.py").write_text(CONFIG)
    code, printed, _ = run_cnflow("clean", "--cloud", "--config", tmp_path / "config.py", "--yes")
    assert (code, printed) == (1, "not looked at: fake_cloud: the token has expired; log in again\n")


def test_command_refuses_a_configuration_without_a_cloud(tmp_path):
    (tmp_path / "config.py").write_text("from cnflow import Config\nconfig = Config()\n")
    with pytest.raises(ConfigurationError, match="No provider of this configuration starts machines of a cloud"):
        cloud_leftovers.clouds_of(load_config(tmp_path / "config.py"))


def test_provider_marks_its_run_until_it_is_closed(region, request_for):
    from cnflow.config.registry import backend_of

    settings = FakeMachineProvider(region="test")
    backend = backend_of(settings)(settings)
    request = request_for()
    backend.submit([request])
    assert run_marks.living_driver(tag_value(request.run)) == os.getpid()
    backend.close()
    assert run_marks.living_driver(tag_value(request.run)) is None


def test_machine_whose_driver_lives_is_no_orphan_after_its_expiry(region, launch):
    from cnflow.config.registry import backend_of

    expired = {"cnflow-expires": str(int(time.time()) - 60)}
    kept, orphan = launch("r1", **expired), launch("r2", **expired)
    settings = FakeMachineProvider(region="test")
    backend = backend_of(settings)(settings)
    run_marks.hold("r1")
    assert backend.remove_orphans() == [f"machine {orphan}"]
    run_marks.release("r1")
    assert region.living().keys() == {kept}


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
    assert run_marks.living_driver("r1") is None
    run_marks.release("r1")
