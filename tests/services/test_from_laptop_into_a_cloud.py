"""A script on a laptop that has only ssh to machines of a cloud and the cloud's interface."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.services.cloud_scene import CloudScene
from tests.services.ec2_cloud import REGION
from tests.services.laptop import SCRIPT

pytestmark = [pytest.mark.ec2, pytest.mark.docker, pytest.mark.root, pytest.mark.sshd, pytest.mark.timeout(400)]

LIVING = ("pending", "running", "shutting-down")


@pytest.fixture
def laptop(tmp_path):
    made = CloudScene(tmp_path)
    made.ec2.control("kind", options=["--volume", f"{tmp_path}:/shared"])
    (tmp_path / "runs").touch()
    (tmp_path / "runs").chmod(0o666)
    tmp_path.chmod(0o777)
    yield made
    made.close()


@pytest.fixture
def settings():
    provider = {
        "kind": "ec2",
        "region": REGION,
        "instance_types": ["c5.large"],
        "max_blocks": 1,
        "environment": {"RUNS": "/shared/runs"},
    }
    return {"provider": provider, "max_workers": 1, "heartbeat_period": 1, "heartbeat_threshold": 6}


def runs_in(folder):
    return sorted(map(int, (folder / "runs").read_text().split()))


def started(driver):
    """Manager and machine of the first task of a script whose other tasks were submitted."""
    _, manager, machine = json.loads(driver.stdout.readline())
    assert driver.stdout.readline() == "submitted\n"
    return manager, machine


@pytest.mark.long
@pytest.mark.parametrize("how", ["asleep", "without the cloud's interface"])
def test_tasks_survive_a_laptop_that_is(laptop, settings, tmp_path, how):
    with laptop.start(SCRIPT, settings, 0.6) as driver:
        manager, machine = started(driver)
        if how == "asleep":
            laptop.sleep()
            time.sleep(12)
            laptop.wake()
        else:
            laptop.silence_api()
            time.sleep(20)
            laptop.restore_api()
        results = json.loads(driver.stdout.readline())
        assert {(each, host) for _, each, host in results} == {(manager, machine)}
    assert driver.returncode == 0
    assert runs_in(tmp_path) == list(range(-1, 40))
    laptop.ec2.until(lambda: not laptop.ec2.machines(*LIVING), 60)


def test_machines_end_themselves_when_the_laptop_is_gone(laptop, settings):
    settings["provider"]["detached_timeout"] = 30
    with laptop.start(SCRIPT, {**settings, "detached_timeout": 10}, 2) as driver:
        started(driver)
        assert len(laptop.ec2.machines("running")) == 2
        driver.kill()
    laptop.silence_api()
    laptop.ec2.until(lambda: not laptop.ec2.machines(*LIVING), 150)


@pytest.mark.long
def test_clean_ends_the_machines_of_a_killed_driver_and_leaves_those_of_another(laptop, settings):
    with laptop.start(SCRIPT, settings, 60) as killed, laptop.start(SCRIPT, settings, 2) as other:
        started(killed)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        left = json.loads(other.stdout.readline())[2]
        with laptop.run([sys.executable, "-m", "cnflow.cli", "clean", "--cloud", "--yes"], subprocess.STDOUT) as clean:
            printed, _ = clean.communicate(timeout=120)
        assert "2 machines ended" in printed, printed
        assert printed.count("gone") == 2
        assert left in printed
        assert left in {one["id"] for one in laptop.ec2.machines("running")}
        assert other.stdout.readline() == "submitted\n"
        assert len(json.loads(other.stdout.readline())) == 40
        other.communicate(timeout=120)
    assert other.returncode == 0
    laptop.ec2.until(lambda: not laptop.ec2.machines(*LIVING), 60)
