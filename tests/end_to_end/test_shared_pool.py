"""A pool server, started by its command, and scripts that share its workers."""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cnflow.worker_pool.probes import ProbeServer
from tests.processes import children_of
from tests.waiting import wait_until

wait_for = functools.partial(wait_until, timeout=30.0)

POOL = """
max_idletime = {idle}
client_timeout = 30
http_port = {http}
[[pools]]
name = "main"
max_workers = 2
heartbeat_period = 1
heartbeat_threshold = 6
provider = {{kind = "local", init_blocks = 0, max_blocks = 2}}
"""

SCRIPT = """
import sys
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.config.existing_pool import ExistingPool

@python_app
def work(number, seconds):
    import os, time
    time.sleep(seconds)
    return number, os.getpid()

address, key, number, seconds = sys.argv[1:]
config = Config(
    executors=[
        HighThroughputExecutor(
            provider=ExistingPool(address, key=key), heartbeat_period=1, heartbeat_threshold=6
        )
    ],
    run_dir=f"runs-{key}",
)
with cnflow.load(config):
    results = [future.result() for future in [work(each, float(seconds)) for each in range(int(number))]]
print(sum(number for number, _ in results), len({pid for _, pid in results}))
"""


class PoolFolder:
    """A pool server in a folder of a test."""

    def __init__(self, path, free_port, idle=60.0):
        self.path = path
        self.http = free_port
        self.scripts = []
        (path / "pool.toml").write_text(POOL.format(idle=idle, http=free_port))
        (path / "script.py").write_text(SCRIPT)

    def run(self, *arguments, code=0):
        command = [sys.executable, "-m", "cnflow.cli", "pool", *arguments]
        done = subprocess.run(command, cwd=self.path, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    def start(self):
        self.run("start", "pool", "--config", "pool.toml")

    def status(self):
        return json.loads(self.run("status", "pool", "--json"))

    def pool(self):
        return self.status()["pools"][0]

    def script(self, client, number=20, seconds=0.05):
        """Start a script of *client*, which gets a key with its first one."""
        if not (self.path / f"{client}.json").exists():
            self.run("key", client, "pool")
        port = json.loads((self.path / "pool" / "pool.json").read_text())["pools"][0]["clients_port"]
        command = [sys.executable, "script.py", f"tcp://127.0.0.1:{port}", f"{client}.json", str(number), str(seconds)]
        script = subprocess.Popen(command, cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.scripts.append(script)
        return script

    def get(self, path):
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://127.0.0.1:{self.http}{path}", timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def free_port():
    """A TCP port that nothing listens at."""
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
        return end.getsockname()[1]


@pytest.fixture
def server(tmp_path, free_port):
    """A server that is started, and stopped after the test, as are its scripts."""
    folder = PoolFolder(tmp_path, free_port)
    folder.start()
    yield folder
    for script in folder.scripts:
        script.kill()
        script.communicate()
    if Path(tmp_path / "pool" / "live").exists():
        subprocess.run(
            [sys.executable, "-m", "cnflow.cli", "pool", "stop", "pool"], cwd=tmp_path, capture_output=True, check=False
        )


def output_of(script, seconds=60):
    out, err = script.communicate(timeout=seconds)
    assert script.returncode == 0, err
    return out.split()


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_two_scripts_share_the_workers_of_a_pool_that_grows_for_them(server):
    assert server.pool()["blocks"] == []
    scripts = [server.script("ada", 60), server.script("ben", 60)]
    found = [output_of(script) for script in scripts]
    assert [total for total, _ in found] == [str(sum(range(60)))] * 2
    now = server.pool()
    assert (now["ended"], len(now["blocks"]), now["workers"]) == (120, 2, 4)


def test_pool_shrinks_to_nothing_without_tasks_and_grows_again(tmp_path, free_port):
    folder = PoolFolder(tmp_path, free_port, idle=1.0)
    folder.start()
    try:
        output_of(folder.script("ada"))
        wait_for(lambda: not folder.pool()["blocks"])
        output_of(folder.script("ada"))
    finally:
        folder.run("stop", "pool")


def test_probes_and_metrics_are_served(server):
    assert server.get("/healthz") == (200, "ok\n")
    assert server.get("/readyz") == (200, "ok\n")
    output_of(server.script("ada"))
    wait_for(lambda: 'cnflow_pool_tasks_ended_total{pool="main"} 20\n' in server.get("/metrics")[1])
    assert server.get("/secret")[0] == 404


def test_script_with_a_revoked_key_is_refused_in_words_while_another_goes_on(server):
    long = server.script("ada", 60, 0.2)
    output_of(server.script("ben", 3))
    server.run("key", "ben", "pool", "--revoke")
    time.sleep(3)  # interchanges read the keys each second
    refused = server.script("ben", 3)
    output, error = refused.communicate(timeout=60)
    assert (output, refused.returncode) == ("", 1)
    assert "refuses" in error
    assert output_of(long)[0] == str(sum(range(60)))
    assert server.pool()["ended"] == 63


def test_killed_script_leaves_the_others_their_workers(server):
    victim = server.script("ada", 200, 0.5)
    wait_for(lambda: server.pool()["running"])
    victim.kill()
    victim.communicate()
    assert output_of(server.script("ben", 8))[0] == str(sum(range(8)))


def test_interchange_that_is_killed_is_started_again_and_scripts_lose_no_task(server):
    script = server.script("ada", 60, 0.2)
    wait_for(lambda: server.pool()["running"])
    [interchange] = [pid for pid in children_of(server.status()["pid"]) if "cnflow.interchange" in command_of(pid)]
    os.kill(interchange, signal.SIGKILL)
    assert output_of(script)[0] == str(sum(range(60)))


def test_scripts_outlive_a_server_that_is_killed_and_started_again(server):
    script = server.script("ada", 60, 0.2)
    wait_for(lambda: server.pool()["running"])
    os.kill(server.status()["pid"], signal.SIGKILL)
    server.start()
    assert output_of(script)[0] == str(sum(range(60)))
    assert "blocks were cancelled" in (server.path / "pool" / "server.log").read_text()


def test_stopped_server_leaves_no_process(server):
    output_of(server.script("ada"))
    pid = server.status()["pid"]
    family = [pid, *children_of(pid)]
    server.run("stop", "pool")
    wait_for(lambda: not [each for each in family if "cnflow" in command_of(each)])
    assert "No pool server runs in" in server.run("status", "pool", code=2)


def test_second_server_in_a_folder_is_refused(server):
    assert "runs in" in server.run("start", "pool", "--config", "pool.toml", code=2)
    assert "runs in" in server.run("serve", "pool", "--config", "pool.toml", code=2)


def test_server_whose_configuration_is_wrong_does_not_start(tmp_path, free_port):
    folder = PoolFolder(tmp_path, free_port)
    (tmp_path / "pool.toml").write_text('[[pools]]\nname = "a"\nprovidr = {}\n')
    assert "Did you mean 'provider'?" in folder.run("start", "pool", "--config", "pool.toml", code=2)
    assert not (tmp_path / "pool").exists()


def test_pool_whose_blocks_cannot_start_is_reported_with_the_reason(tmp_path, free_port):
    folder = PoolFolder(tmp_path, free_port)
    text = (tmp_path / "pool.toml").read_text().replace('kind = "local"', 'kind = "local", python = "/no/python"')
    (tmp_path / "pool.toml").write_text(text)
    assert "/no/python" in folder.run("start", "pool", "--config", "pool.toml", code=2)
    assert "No pool server runs" in folder.run("status", "pool", code=2)


def test_pool_whose_workers_cannot_start_fails_its_scripts_in_words_until_it_is_mended(tmp_path, free_port):
    folder = PoolFolder(tmp_path, free_port)
    good = (tmp_path / "pool.toml").read_text()
    (tmp_path / "pool.toml").write_text(good.replace('"local",', '"local", worker_init = "echo no licence; exit 3",'))
    folder.start()
    try:
        script = folder.script("ada", 3)
        output, error = script.communicate(timeout=60)
        assert (output, script.returncode) == ("", 1)
        assert "has no worker, and gets none until that is mended: " in error
        assert "no licence" in error
        folder.run("stop", "pool")
        (tmp_path / "pool.toml").write_text(good)
        folder.start()
        assert output_of(folder.script("ada", 3))[0] == "3"
    finally:
        folder.run("stop", "pool")


def test_peers_that_say_nothing_keep_no_probe_out_and_get_no_thread_each():
    server = ProbeServer("127.0.0.1", 0, list)
    server.start()
    before = threading.active_count()
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{server.port}/healthz", timeout=5
        ) as answer:
            assert answer.status == 200
        wait_for(lambda: threading.active_count() - before <= 33)
    finally:
        for each in silent:
            each.close()
        server.close()
