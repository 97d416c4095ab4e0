"""Containers that are killed, stopped or paused, and a Docker engine that is restarted."""

import contextlib
import gc
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import docker
import pytest

from cnflow.config import DockerProvider

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]


def provider(label, **options):
    return DockerProvider(create={"labels": {"cnflow.test": label}}, **options)


@pytest.fixture
def label():
    return uuid.uuid4().hex


@pytest.fixture
def containers(engine, label):
    def there(client=engine):
        return client.containers.list(ignore_removed=True, filters={"label": f"cnflow.test={label}"})

    return there


def test_killed_container_is_replaced_and_its_tasks_run_again(load, ledger, image_base, label, containers):
    with load(provider(label), image=image_base, heartbeat_period=1, heartbeat_threshold=30):
        ledger_in_container = [square.result(60) for square in [squared(n) for n in range(3)]]
        futures = [squared(n, 0.3) for n in range(6)]
        (container,) = containers()
        container.kill()
        assert [future.result(60) for future in futures] == [0, 1, 4, 9, 16, 25]
        assert [one.id for one in containers()] != [container.id]
    assert ledger_in_container == [0, 1, 4]
    assert containers() == []


def squared(number, seconds=0.0, path=""):
    from cnflow import python_app

    @python_app
    def work(number, seconds, path):
        import os
        import time

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)
        if path:
            with open(path, "a") as file:  # noqa: PTH123 - a task's body imports what it needs
                file.write(f"{number} {os.uname().nodename}\n")
        return number * number

    return work(number, seconds, path)


def test_stopped_container_finishes_tasks_in_its_grace_and_others_run_again(
    load, image_base, label, containers, tmp_path
):
    shared = tmp_path / "shared"
    shared.mkdir()
    mounted = provider(label, mounts={str(shared): "/shared"})
    with load(mounted, image=image_base, max_workers=2, cores_per_worker=0.1, grace_period=3) as dfk:
        assert squared(0).result(60) == 0
        short, long = squared(1, 1.5, "/shared/ledger"), squared(2, 6.0, "/shared/ledger")
        time.sleep(0.5)
        (container,) = containers()
        container.stop(timeout=10)
        assert (short.result(60), long.result(60)) == (1, 4)
        assert len(dfk.executors["htex"].connected_blocks()) == 2
    ran = [line.split() for line in (shared / "ledger").read_text().splitlines()]
    assert sorted(number for number, _ in ran) == ["1", "2"]
    assert len({node for _, node in ran}) == 2


def test_results_of_a_container_paused_past_the_threshold_are_dropped(
    load, image_base, label, containers, tmp_path, until
):
    shared = tmp_path / "shared"
    shared.mkdir()
    settings = {"image": image_base, "heartbeat_period": 0.5, "heartbeat_threshold": 3}
    two = provider(label, init_blocks=2, max_blocks=2, mounts={str(shared): "/shared"})
    with load(two, **settings) as dfk:
        until(lambda: dfk.executor_status()[0].managers == 2, 60)
        futures = [squared(n, 1.0, "/shared/ledger") for n in range(6)]
        time.sleep(0.5)
        paused = containers()[0]
        paused.pause()
        try:
            assert [future.result(60) for future in futures] == [0, 1, 4, 9, 16, 25]
        finally:
            with contextlib.suppress(docker.errors.APIError):
                paused.unpause()
        until(lambda: paused.id not in {one.id for one in containers()}, 60)
        assert squared(7).result(60) == 49
    assert containers() == []


@pytest.fixture(params=[signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def own_engine(request, monkeypatch, engine, image_base, until):
    """Docker engine with its own socket, data and bridge, and with the base image; the test starts and stops it."""
    made = OwnEngine(until, request.param)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
    try:
        made.start()
        save = subprocess.Popen(["docker", "save", image_base], stdout=subprocess.PIPE)
        subprocess.run(["docker", "-H", made.host, "load"], stdin=save.stdout, check=True, capture_output=True)
        save.stdout.close()
        assert save.wait() == 0
        yield made
    finally:
        made.remove()


class OwnEngine:
    def __init__(self, until, stop_signal):
        self.stop_signal = stop_signal
        self._until = until
        self._root = Path(tempfile.mkdtemp(prefix="cnfe-", dir="/tmp"))  # the paths of its socket files must be short
        self._bridge = f"cnfbr{os.getpid()}"
        self._log = (self._root / "log").open("ab")
        self.host = f"unix://{self._root}/docker.sock"
        self.process = None
        subprocess.run(["ip", "link", "add", self._bridge, "type", "bridge"], check=True)
        address = f"10.214.{os.getpid() % 250}.1/24"
        subprocess.run(["ip", "addr", "add", address, "dev", self._bridge], check=True)
        subprocess.run(["ip", "link", "set", self._bridge, "up"], check=True)
        (self._root / "daemon.json").write_text(json.dumps({"features": {"buildkit": False}}))

    def start(self):
        folders = [f"--{name}={self._root / name}" for name in ("data-root", "exec-root", "pidfile")]
        folders += [f"--config-file={self._root / 'daemon.json'}"]
        network = [f"--bridge={self._bridge}", "--iptables=false", "--ip6tables=false", "--ip-masq=false"]
        command = ["dockerd", f"--host={self.host}", *folders, *network]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, start_new_session=True)
        self._until(self._answers, 60)

    def _answers(self):
        assert self.process.poll() is None, (self._root / "log").read_text()[-2000:]
        return subprocess.run(["docker", "-H", self.host, "info"], capture_output=True, check=False).returncode == 0

    def stop(self):
        """Stop the engine: SIGTERM ends its containers, as ``systemctl stop docker`` does; SIGKILL does not."""
        self.process.send_signal(self.stop_signal)
        self.process.wait(60)

    def remove(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        self._log.close()
        subprocess.run(["ip", "link", "del", self._bridge], check=True)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if str(self._root) in line]
        for mount in reversed(mounts):
            subprocess.run(["umount", mount], check=False, capture_output=True)
        shutil.rmtree(self._root, ignore_errors=True)


@pytest.mark.dockerd
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # open sockets of the SDK
def test_restart_of_the_engine_during_a_run_loses_no_task(load, own_engine, label, image_base, containers, until):
    settings = {"image": image_base, "heartbeat_period": 0.5, "heartbeat_threshold": 3}
    with load(provider(label, host=own_engine.host), **settings) as dfk:
        assert squared(2).result(90) == 4
        futures = [squared(n, 0.5) for n in range(8)]
        own_engine.stop()
        if own_engine.stop_signal == signal.SIGTERM:
            until(lambda: dfk.executor_status()[0].managers == 0, 30)
        time.sleep(2)
        own_engine.start()
        assert [future.result(90) for future in futures] == [n * n for n in range(8)]
    with contextlib.closing(docker.DockerClient(base_url=own_engine.host)) as client:
        assert containers(client) == []
    gc.collect()
