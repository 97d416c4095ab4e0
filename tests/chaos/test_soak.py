"""Soak in short: every future is done, no task is lost or reported twice, no process is left."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # as where run.py is started
from machine_faults import MACHINE_FAULTS
from network_faults import NETWORK_FAULTS
from pod_faults import POD_FAULTS

HERE = Path(__file__).parent
SECONDS = 30


def soak(folder, *more):
    command = [sys.executable, str(HERE / "run.py"), "--minutes", str(SECONDS / 60), "--folder", str(folder / "soak")]
    return subprocess.run([*command, *more], capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)
@pytest.mark.long
def test_tasks_survive_a_fault_each_second(tmp_path):
    done = soak(tmp_path, "--tasks", "2000")
    assert done.returncode == 0, done.stdout + done.stderr  # contains the seed that repeats the run
    assert "0 lost, 0 doubled, 0 with a wrong value, 0 processes or containers left" in done.stdout


@pytest.mark.docker
@pytest.mark.timeout(300)
@pytest.mark.long
def test_tasks_in_containers_survive_a_fault_each_second(tmp_path, image_base):
    done = soak(tmp_path, "--tasks", "600", "--image", image_base)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "`docker kill`" in done.stdout


@pytest.mark.root
@pytest.mark.cc
@pytest.mark.timeout(300)
@pytest.mark.long
def test_tasks_on_nodes_of_their_own_survive_faults_of_networks_clocks_and_limits(tmp_path):
    done = soak(tmp_path, "--tasks", "2000", "--network")
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(fault.name in done.stdout for fault in NETWORK_FAULTS), "the network was never struck"


@pytest.mark.kubernetes
@pytest.mark.root
@pytest.mark.timeout(400)
@pytest.mark.xdist_group("a cluster of its own")
@pytest.mark.long
def test_tasks_in_pods_survive_a_fault_each_second(tmp_path, base_name):
    done = soak(tmp_path, "--tasks", "600", "--pods", base_name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(fault.name in done.stdout for fault in POD_FAULTS), "no pod was struck"


@pytest.mark.ec2
@pytest.mark.long
@pytest.mark.root
@pytest.mark.timeout(400)
def test_tasks_on_machines_of_a_cloud_survive_a_fault_each_second(tmp_path):
    done = soak(tmp_path, "--tasks", "600", "--machines")
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(fault.name in done.stdout for fault in MACHINE_FAULTS), "no machine was struck"
