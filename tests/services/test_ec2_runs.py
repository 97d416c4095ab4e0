"""Whole runs on machines of EC2, which moto lists and containers play, and which fetch cnflow's code and keys."""

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import EC2Provider, HighThroughputExecutor
from cnflow.errors import BlockError, BlockRejectedError
from tests.services.ec2_cloud import IMAGE

pytestmark = [pytest.mark.ec2, pytest.mark.timeout(300)]
PATIENCE = 200


@pytest.fixture
def config(tmp_path, ec2):
    def make(executor=None, **options):
        chosen = {"image_id": IMAGE, "instance_types": ["t3.micro"], "init_blocks": 1, "max_blocks": 1, **options}
        made = HighThroughputExecutor(
            label="cloud",
            provider=EC2Provider(**chosen),
            **{"max_workers": 1, "interchange": "driver", **(executor or {})},
        )
        return Config(executors=[made], run_dir=str(tmp_path / "runs"))

    return make


@python_app
def where(number):
    import socket

    return number * number, socket.gethostname()


@python_app
def slow(seconds):
    import time

    time.sleep(seconds)
    return seconds


def squares(count):
    return [future.result(timeout=PATIENCE)[0] for future in [where(number) for number in range(count)]]


def are_gone(ec2):
    ec2.until(lambda: not ec2.machines("pending", "running"))


def test_tasks_run_on_machines_which_end_with_the_run(config, ec2):
    with cnflow.load(config(init_blocks=2, max_blocks=2)):
        results = [future.result(timeout=PATIENCE) for future in [where(number) for number in range(20)]]
    assert [square for square, _ in results] == [number * number for number in range(20)]
    assert {host for _, host in results} <= {one["id"] for one in ec2.machines()}
    are_gone(ec2)


@pytest.mark.long
def test_block_of_several_nodes_has_a_machine_for_each(config, ec2):
    with cnflow.load(config(nodes_per_block=2)):
        assert squares(8) == [number * number for number in range(8)]
        ec2.until(lambda: len(ec2.machines("running")) == 2)
        ranks = sorted(one["tags"]["cnflow-rank"] for one in ec2.machines("running"))
    assert ranks == ["0", "1"]
    are_gone(ec2)


def test_tasks_of_a_machine_that_is_taken_back_run_elsewhere_without_a_retry(config, ec2):
    with cnflow.load(config(spot=True, zones=["us-east-1a", "us-east-1b"])):
        assert where(1).result(timeout=PATIENCE)[0] == 1
        (first,) = ec2.machines("running")
        assert (first["is_spot"], first["zone"]) == (True, "us-east-1a")
        waiting = [slow(3) for _ in range(3)]
        time.sleep(1)
        ec2.control("interrupt", id=first["id"], after=8)
        assert [future.result(timeout=PATIENCE) for future in waiting] == [3, 3, 3]
        assert [future.task_record["fail_count"] for future in waiting] == [0, 0, 0]
    others = [one for one in ec2.machines() if one["id"] != first["id"]]
    assert {one["zone"] for one in others} == {"us-east-1b"}  # spot capacity is short in the first zone


def test_zone_and_spot_without_capacity_are_passed_over(config, ec2):
    ec2.limit(0, spot=True)
    ec2.limit(0, zone="us-east-1a")
    with cnflow.load(config(spot=True, zones=["us-east-1a", "us-east-1b"])):
        assert squares(3) == [0, 1, 4]
        assert [(one["zone"], one["is_spot"]) for one in ec2.machines("running")] == [("us-east-1b", False)]
    assert ec2.calls("RunInstances") == 4


@pytest.mark.long
def test_storm_of_throttling_is_outlasted(config, ec2):
    ec2.fault("RunInstances", code="RequestLimitExceeded", status=503, times=9)
    ec2.fault("DescribeInstances", code="RequestLimitExceeded", status=503, times=9)
    with cnflow.load(config()):
        assert squares(3) == [0, 1, 4]
        assert len(ec2.machines()) == 1


@pytest.mark.long
def test_run_goes_on_while_the_service_does_not_answer_for_a_minute(config, ec2):
    with cnflow.load(config()):
        assert squares(1) == [0]
        ec2.fault(drop=True, times=10**6)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            assert where(3).result(timeout=30)[0] == 9
            time.sleep(2)
        ec2.clear()
        assert squares(2) == [0, 1]
        assert len(ec2.machines()) == 1
    are_gone(ec2)


@pytest.mark.long
def test_machine_that_somebody_terminates_is_replaced(config, ec2):
    import boto3

    with cnflow.load(config()):
        assert squares(1) == [0]
        (first,) = ec2.machines("running")
        task = slow(15)
        time.sleep(2)
        client = boto3.client("ec2")
        client.terminate_instances(InstanceIds=[first["id"]])
        client.close()
        assert task.result(timeout=PATIENCE) == 15
        assert len(ec2.machines()) == 2


def test_wrong_image_fails_at_once_with_what_to_do(config):
    settings = config(image_id="ami-0123456789abcdef0")
    with cnflow.load(settings), pytest.raises(BlockRejectedError, match="Images have another id in each region"):
        where(1).result(timeout=30)


@pytest.mark.long
def test_tasks_without_quota_wait_for_it(config, ec2, caplog):
    ec2.limit(0, code="VcpuLimitExceeded", message="You have requested more vCPU capacity than your limit of 0")
    with cnflow.load(config()):
        task = where(2)
        ec2.until(lambda: ec2.calls("RunInstances") >= 1)
        assert "VcpuLimitExceeded" in ec2.until(lambda: "VcpuLimitExceeded" in caplog.text and caplog.text, 60)
        assert not task.done()
        ec2.clear()
        assert task.result(timeout=PATIENCE)[0] == 4


@pytest.mark.long
def test_expired_credentials_are_reported_and_renewed(config, ec2, caplog, monkeypatch):
    caplog.set_level(logging.WARNING)
    with cnflow.load(config(max_blocks=2, init_blocks=1)):
        assert squares(1) == [0]
        ec2.fault(code="ExpiredToken", message="The security token included in the request is expired", times=10**6)
        (first,) = ec2.machines("running")
        subprocess.run(["docker", "kill", first["container"]], check=True, capture_output=True)
        task = where(5)
        ec2.until(lambda: "Log in again" in caplog.text, 90)
        ec2.clear()
        assert task.result(timeout=PATIENCE)[0] == 25


def test_machine_that_does_not_boot_is_reported_with_what_it_printed(config, ec2):
    settings = config(user_data="echo no disk for the likes of us; exit 7", startup_timeout=30)
    with cnflow.load(settings), pytest.raises(BlockError, match="no disk for the likes of us"):
        where(1).result(timeout=PATIENCE)
    are_gone(ec2)


@pytest.mark.long
def test_machine_whose_boot_hangs_is_ended_after_its_time(config, ec2):
    settings = config(user_data="echo waiting for a mount; sleep 3600", startup_timeout=10)
    with cnflow.load(settings), pytest.raises(BlockError, match="waiting for a mount"):
        where(1).result(timeout=PATIENCE)
    are_gone(ec2)


@pytest.mark.long
def test_machine_without_python_runs_tasks_by_the_one_that_is_brought(config, ec2):
    ec2.control("kind", lacks=["python3", "python3.11"])
    with cnflow.load(config()):
        assert squares(3) == [0, 1, 4]


SCRIPT = """
    import sys, time
    import cnflow
    from cnflow import Config, python_app
    from cnflow.config import EC2Provider, HighThroughputExecutor

    @python_app
    def work():
        import time
        time.sleep(600)

    if __name__ == "__main__":
        provider = EC2Provider(image_id=sys.argv[1], instance_types=["t3.micro"], init_blocks=1, max_blocks=1,
                               detached_timeout=5, startup_timeout=20)
        executor = HighThroughputExecutor(label="cloud", provider=provider, max_workers=1, interchange="driver",
                                          heartbeat_period=2, heartbeat_threshold=10)
        cnflow.load(Config(executors=[executor], run_dir=sys.argv[2]))
        work()
        print("loaded", flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("at once", marks=pytest.mark.long),
        pytest.param("while it boots", marks=pytest.mark.long),
        "with a task",
    ],
)
def test_machines_end_themselves_after_the_driver_was_killed(ec2, tmp_path, moment):
    script = tmp_path / "script.py"
    script.write_text(dedent(SCRIPT))
    driver = subprocess.Popen([sys.executable, script, IMAGE, tmp_path / "runs"], cwd=Path(__file__).parents[2])
    try:
        ec2.until(lambda: ec2.machines("pending", "running"), 60)
        if moment != "at once":
            ec2.until(lambda: ec2.machines("running"), 60)
        if moment == "with a task":
            (machine,) = ec2.machines("running")
            seen = ("docker", "logs", machine["container"])
            ec2.until(lambda: b"starts its manager" in subprocess.check_output(seen, stderr=subprocess.STDOUT), 60)
            time.sleep(3)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    ec2.until(lambda: not ec2.machines("pending", "running"), 100)
