"""A script on a laptop that has only ssh to a login node, whose tasks run in jobs of Slurm there."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import slurm_conf
from tests.services.laptop import SCRIPT, Laptop

pytestmark = [pytest.mark.slurm, pytest.mark.sshd, pytest.mark.root, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _queue(monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(slurm_conf("slurm")))


@pytest.fixture
def laptop(tmp_path):
    made = Laptop(tmp_path)
    yield made
    made.close()


@pytest.fixture
def settings(laptop, tmp_path):
    """Options of an executor whose blocks are jobs, through the laptop's ssh."""
    provider = {
        "kind": "slurm",
        "channel": laptop.channel(SLURM_CONF=str(slurm_conf("slurm"))),
        "site_dir": str(laptop.site),
        "exclusive": False,
        "walltime": 600,
        "environment": {"RUNS": str(tmp_path / "runs")},
    }
    return {"provider": provider, "max_workers": 1, "heartbeat_period": 1, "heartbeat_threshold": 6}


def numbers_of(line):
    return [number for number, *_ in json.loads(line)]


def test_laptop_reaches_sshd_and_nothing_else(laptop):
    with socket.create_server(("", 0)) as server:
        assert not laptop.can_reach(server.getsockname()[1])
    assert laptop.can_reach(laptop.sshd.port)


@pytest.mark.parametrize("how", ["killed", "asleep"])
def test_tasks_of_a_laptop_survive_its_connection(laptop, settings, tmp_path, how):
    with laptop.start(SCRIPT, settings) as driver:
        _, manager, job = json.loads(driver.stdout.readline())
        assert job
        assert driver.stdout.readline() == "submitted\n"
        for _ in range(3):
            time.sleep(0.7)
            if how == "killed":
                laptop.cut()
        if how == "asleep":
            laptop.sleep()
            time.sleep(12)
            laptop.wake()
        results = json.loads(driver.stdout.readline())
        assert [number for number, *_ in results] == list(range(40))
        assert {each for _, each, _ in results} == {manager}
    assert driver.returncode == 0
    assert sorted(map(int, (tmp_path / "runs").read_text().split())) == list(range(-1, 40))


def jobs_of(job):
    """Whether the queue has *job*."""
    argv = ["squeue", "--noheader", "--format=%i", "--states=PD,R,CG"]
    return job in subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_killed_laptop_leaves_no_interchange_and_no_job_after_the_timeout(laptop, settings, tmp_path, until):
    with laptop.start(SCRIPT, {**settings, "detached_timeout": 5}) as driver:
        _, manager, job = json.loads(driver.stdout.readline())
        assert jobs_of(job)
        assert laptop.interchanges()
        driver.kill()
    until(lambda: not laptop.interchanges(), 60)
    until(lambda: not is_running(manager), 60)
    until(lambda: not jobs_of(job), 60)


@pytest.mark.long
def test_laptop_that_sleeps_for_longer_than_the_timeout_starts_anew_when_it_wakes(laptop, settings, until):
    settings["provider"]["poll_period"] = 1
    with laptop.start(SCRIPT, {**settings, "detached_timeout": 4}) as driver:
        _, manager, job = json.loads(driver.stdout.readline())
        assert driver.stdout.readline() == "submitted\n"
        os.kill(driver.pid, signal.SIGSTOP)
        laptop.cut()
        until(lambda: not laptop.interchanges() and not is_running(manager), 60)
        os.kill(driver.pid, signal.SIGCONT)
        results = json.loads(driver.stdout.readline())
        assert [number for number, *_ in results] == list(range(40))
        assert {each for _, _, each in results} != {job}, "some ran in another job"
    assert driver.returncode == 0


def test_end_of_a_run_leaves_nothing_but_code_at_the_site(laptop, settings, tmp_path, until):
    with laptop.start(SCRIPT, settings) as driver:
        _, manager, job = json.loads(driver.stdout.readline())
        driver.communicate(timeout=120)
    assert driver.returncode == 0
    until(lambda: not laptop.interchanges() and not is_running(manager) and not jobs_of(job), 60)
    left = {str(file.relative_to(laptop.site)) for file in laptop.site.rglob("*") if file.is_file()}
    assert not [name for name in left if name.startswith("spool") or re.match("runs/.*settings", name)]


FAILING = """\
import json, sys
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor

@python_app
def work():
    return 1

executor = HighThroughputExecutor(**json.loads(sys.argv[1]))
with cnflow.load(Config(executors=[executor], run_dir="runinfo", retries=0)):
    print(json.dumps(str(work().exception())), flush=True)
"""


def test_address_that_nodes_do_not_reach_is_told_with_what_was_tried(laptop, settings):
    way = {"kind": "dial_in", "addresses": [laptop.address, "login9.invalid"]}
    with laptop.start(FAILING, {**settings, "way": way, "address_probe_timeout": 2}) as driver:
        error = json.loads(driver.stdout.readline())
    assert f"the interchange answers at none of {laptop.address}, login9.invalid, port " in error
    assert "Set HighThroughputExecutor(address=...)" in error


def test_login_that_fails_is_told_in_the_words_of_ssh(laptop, settings):
    laptop.sshd.stop()
    with laptop.start(FAILING, settings) as driver:
        error = json.loads(driver.stdout.readline())
    laptop.sshd.start()
    assert "Connection refused" in error
