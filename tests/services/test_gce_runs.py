"""Whole runs on machines of the stand-in of Compute Engine, which fetch cnflow from the driver."""

import os
import signal
import subprocess
import sys

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import GoogleCloudProvider, HighThroughputExecutor

pytestmark = [pytest.mark.gce, pytest.mark.timeout(300)]

OPTIONS = {
    "instance_types": ["e2-standard-2"],
    "zones": ["us-central1-a", "us-central1-b"],
    "is_in_cloud": True,
}

DRIVER = """
import sys, time
import cnflow
from cnflow import Config, python_app
from cnflow.config import GoogleCloudProvider, HighThroughputExecutor

@python_app
def wait():
    import time
    time.sleep(600)

provider = GoogleCloudProvider(endpoint=sys.argv[1], detached_timeout=5, is_in_cloud=True, startup_timeout=60,
                               instance_types=["e2-standard-2"], zones=["us-central1-a"])
beats = {"heartbeat_period": 2, "heartbeat_threshold": 10}
executor = HighThroughputExecutor(label="gce", provider=provider, max_workers=1, **beats)
cnflow.load(Config(executors=[executor], run_dir=sys.argv[2]))
wait().result()
"""


@pytest.fixture
def config(gce, tmp_path):
    def make(**options):
        provider = GoogleCloudProvider(endpoint=gce.url, **{**OPTIONS, **options})
        executor = HighThroughputExecutor(label="gce", provider=provider, max_workers=1)
        return Config(executors=[executor], run_dir=str(tmp_path / "runs"), retries=0)

    return make


@python_app
def where(number, seconds=0):
    import socket
    import time

    time.sleep(seconds)
    return number * number, socket.gethostname()


@pytest.mark.long
def test_tasks_run_on_machines_in_the_zone_with_room_which_end_with_the_run(gce, config):
    gce.limit(0, zone="us-central1-a")
    with cnflow.load(config(init_blocks=2, max_blocks=2)):
        results = [future.result(timeout=200) for future in map(where, range(10))]
        assert {one["zone"] for one in gce.machines()} == {"us-central1-b"}
    assert [square for square, _ in results] == [number * number for number in range(10)]
    gce.until(lambda: not gce.machines())


def test_announced_end_of_a_spot_machine_costs_no_task_a_retry(gce, config):
    with cnflow.load(config(spot=True, init_blocks=1, max_blocks=1)):
        assert where(2).result(timeout=200)[0] == 4
        (first,) = gce.machines()
        assert first["spot"]
        futures = [where(number, 2) for number in range(6)]
        gce.control("preempt", name=first["name"], after=8)
        hosts = [future.result(timeout=200)[1] for future in futures]
    assert len(set(hosts)) == 2  # the rest ran on the machine in place of the first
    gce.until(lambda: not gce.machines())


@pytest.mark.long
@pytest.mark.parametrize("words", ["booted", "=== cnflow: output ==="])
def test_machines_of_a_killed_driver_delete_themselves(gce, tmp_path, words):
    environment = {**os.environ, **gce.environment}
    command = [sys.executable, "-c", DRIVER, gce.url, str(tmp_path / "runs")]
    driver = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        (machine,) = gce.until_running(seconds=120)
        gce.until(lambda: words in console_of(machine))
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    gce.until(lambda: not gce.machines(), 150)


def console_of(machine):
    done = subprocess.run(["docker", "logs", machine["container"]], capture_output=True, text=True, check=True)
    return done.stdout
