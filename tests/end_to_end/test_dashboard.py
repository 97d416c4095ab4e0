"""The dashboard of a run that goes on, as a browser asks it: what it shows of the run, and what it does to it."""

import http.client
import json
import re
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from tests.waiting import wait_until

pytest.importorskip("starlette")


@python_app
def held(gate):
    import pathlib
    import time

    print("waits for the gate", flush=True)  # noqa: T201 - shown by the dashboard
    while not pathlib.Path(gate).exists():
        time.sleep(0.05)
    return gate


@python_app
def after(value):
    return value


class Browser:
    """Args: address of a dashboard, with its token."""

    def __init__(self, address):
        self._host, _, self._token = address.strip().removeprefix("http://").partition("/?token=")

    def ask(self, path, method="GET", **headers):
        """Return the status and the text of the answer."""
        connection = http.client.HTTPConnection(self._host, timeout=60)
        connection.request(method, path, headers={"Authorization": f"Bearer {self._token}", **headers})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def json(self, path):
        """Return the answer, None where there is none yet."""
        status, text = self.ask(path)
        return json.loads(text) if status == 200 else None

    def states_of_blocks(self, run):
        return [each["state"] for each in self.json(f"/api/v1{run}/blocks")]

    def act(self, path):
        """Do what a button of the run's page does, and return the answer."""
        csrf = re.search(r'name="csrf" content="([^"]+)"', self.ask("/")[1])[1]
        return self.ask(path, "POST", **{"X-CSRF-Token": csrf})


@pytest.mark.timeout(180)
def test_dashboard_shows_a_live_run_cancels_its_task_and_drains_its_block(tmp_path):
    gate = tmp_path / "gate"
    executor = HighThroughputExecutor(label="pool", max_workers=1)
    config = Config(executors=[executor], run_dir=str(tmp_path / "runs"), dashboard=True)
    with cnflow.load(config) as dfk:
        first = held(str(gate))
        second, last = held(str(gate)), after(first)
        file = Path(dfk.run_dir, "dashboard.url")
        wait_until(lambda: file.exists() and file.read_text().strip(), 60)
        browser, run = Browser(file.read_text()), f"/runs/{dfk.run_id}"
        log = f"{run}/tasks/{first.tid}/output/log"
        wait_until(lambda: (browser.json(log) or {}).get("text") == "waits for the gate\n", 60)
        expected = {"waiting": 1, "launched": 1, "running": 1}
        wait_until(lambda: browser.json(f"/api/v1{run}/states") == expected, 60)
        assert f"task {first.tid} (held)" in browser.ask(f"{run}/tasks/{last.tid}/why")[1]
        for page in ("", "/tasks", f"/tasks/{first.tid}", "/graph", "/workers", "/blocks", "/nodes", "/efficiency"):
            assert browser.ask(run + page)[0] == 200
        status, words = browser.act(f"{run}/tasks/{second.tid}/cancel")
        assert (status, f"Task {second.tid} is cancelled" in words) == (200, True)
        wait_until(second.cancelled, 60)
        status, words = browser.act(f"{run}/blocks/pool/0/drain")
        assert (status, "Block 0 of pool drains" in words) == (200, True)
        wait_until(lambda: "DRAINING" in browser.states_of_blocks(run), 60)
        gate.touch()
        assert first.result(60) == last.result(60) == str(gate)
        wait_until(lambda: "SCALED_IN" in browser.states_of_blocks(run), 60)
    assert not file.exists()
