import http.client
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import cnflow
from benchmarks.monitoring_data import make_database
from cnflow.config import Config, ThreadPoolExecutor
from cnflow.config.dashboard import Dashboard
from cnflow.control_socket import ask
from cnflow.errors import ConfigurationError
from cnflow.monitoring.dashboard.process import ADDRESS_FILE, DashboardProcess
from tests.waiting import wait_until


def get(address, path):
    host, _, token = address.removeprefix("http://").partition("/?token=")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def test_the_process_serves_until_it_is_closed_and_its_address_is_the_users_alone(tmp_path):
    make_database(tmp_path / "monitoring.db", tasks=5)
    addresses = []
    process = DashboardProcess(Dashboard(), str(tmp_path / "monitoring.db"), tmp_path, addresses.append)
    process.start()
    wait_until(lambda: addresses, 60)
    status, body = get(addresses[0], "/api/v1/runs")
    assert status == 200
    assert json.loads(body)[0]["tasks"] == 5
    file = tmp_path / ADDRESS_FILE
    assert file.read_text().strip() == addresses[0]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    process.close()
    process.close()
    assert not file.exists()
    with pytest.raises(OSError, match="refused"):
        get(addresses[0], "/api/v1/runs")


def test_a_port_that_is_taken_is_a_warning_and_the_run_goes_on(tmp_path, caplog):
    make_database(tmp_path / "monitoring.db", tasks=5)
    addresses = []
    first = DashboardProcess(Dashboard(), str(tmp_path / "monitoring.db"), tmp_path, addresses.append)
    first.start()
    wait_until(lambda: addresses, 60)
    port = int(addresses[0].partition("/?")[0].rpartition(":")[2])
    second = DashboardProcess(Dashboard(port=port), str(tmp_path / "monitoring.db"), tmp_path)
    second.start()
    wait_until(lambda: "Address already in use" in caplog.text, 60)
    second.close()
    first.close()


def test_a_dashboard_that_is_killed_is_a_warning_and_one_that_is_closed_is_none(tmp_path, caplog):
    make_database(tmp_path / "monitoring.db", tasks=5)
    addresses = []
    killed, closed = (
        DashboardProcess(Dashboard(), str(tmp_path / "monitoring.db"), tmp_path, addresses.append) for _ in range(2)
    )
    for process in (killed, closed):
        process.start()
    wait_until(lambda: len(addresses) == 2, 60)
    closed.close()
    os.kill(killed._process.pid, signal.SIGKILL)
    wait_until(lambda: "the dashboard has ended by itself" in caplog.text, 60)
    assert caplog.text.count("has ended") == 1
    killed.close()


def test_a_dashboard_ends_with_a_driver_that_is_killed(tmp_path):
    make_database(tmp_path / "monitoring.db", tasks=5)
    order = {"url": str(tmp_path / "monitoring.db"), "listen": "127.0.0.1", "port": 0, "hosts": [], "token": "t"}
    with subprocess.Popen(
        [sys.executable, "-m", "cnflow.monitoring.dashboard"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    ) as process:
        process.stdin.write(json.dumps({**order, "can_act": False}) + "\n")
        process.stdin.flush()
        assert "address" in json.loads(process.stdout.readline())
        process.stdin.close()
        process.wait(30)


def test_a_task_is_cancelled_through_the_socket_of_its_run(tmp_path):
    @cnflow.python_app
    def wait(event):
        event.wait(60)

    import threading

    event = threading.Event()
    with cnflow.load(Config(run_dir=str(tmp_path), executors=[ThreadPoolExecutor(max_threads=1)])) as dfk:
        first, second = wait(event), wait(event)
        assert ask(dfk.run_dir, {"ask": "cancel", "task": 1}) == {"message": "Task 1 is cancelled."}
        assert second.cancelled()
        with pytest.raises(ConfigurationError, match=r"Task 1 cannot be cancelled: it has ended\."):
            ask(dfk.run_dir, {"ask": "cancel", "task": 1})
        with pytest.raises(ConfigurationError, match=r"There is no task 9\."):
            ask(dfk.run_dir, {"ask": "cancel", "task": 9})
        with pytest.raises(ConfigurationError, match="has no blocks"):
            ask(dfk.run_dir, {"ask": "drain", "executor": next(iter(dfk.executors)), "block": "0"})
        with pytest.raises(ConfigurationError, match="No executor is called 'x'"):
            ask(dfk.run_dir, {"ask": "drain", "executor": "x", "block": "0"})
        event.set()
        first.result()
