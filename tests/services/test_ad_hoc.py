"""Blocks on hosts over SSH: each host is a real sshd of this machine, on a port of its own."""

import getpass
import os
import signal
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import HighThroughputExecutor
from cnflow.errors import BlockError
from cnflow.ids import NativeId
from cnflow.providers import AdHocProvider
from cnflow.providers.ad_hoc.provider import AdHocBackend
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from tests.services.sshd_server import Sshd

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(300)]


@pytest.fixture
def hosts(tmp_path):
    servers = [Sshd(tmp_path / f"sshd{number}") for number in range(3)]
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def settings(hosts, tmp_path):
    return AdHocProvider(hosts=[host.settings() for host in hosts], site_dir=str(tmp_path / "site"), poll_period=1)


@pytest.mark.long
class TestAdHocProvider(ProviderContract, ProviderDataContract):
    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId(f"{getpass.getuser()}@127.0.0.1:run/cnflow-7"))
    submit_limit = pytest.fixture(lambda _: 60.0)

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: AdHocBackend(settings.model_copy(update={"environment": dict(environment)}))


@python_app
def manager_of(seconds=0.0):
    import os
    import time

    time.sleep(seconds)
    return os.getppid(), os.environ.get("OF_THE_USER")


@pytest.fixture
def load(settings, tmp_path):
    def make(**options):
        provider = settings.model_copy(update={"worker_init": "export OF_THE_USER='a  b'", **options})
        executor = HighThroughputExecutor(
            provider=provider,
            max_workers=1,
            prefetch=0,
            address="127.0.0.1",
            heartbeat_period=1,
            heartbeat_threshold=8,
        )
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runinfo"), retries=0))

    return make


def test_tasks_run_on_all_hosts_and_nothing_is_left_there(load, until, tmp_path):
    with load() as dfk:
        tasks = [manager_of(2) for _ in range(12)]
        until(lambda: dfk.executor_status()[0].managers == 3, 120)
        managers = {task.result(100) for task in tasks}
        assert {variable for _, variable in managers} == {"a  b"}
        assert len(managers) == 3
    until(lambda: not any(is_alive(pid) for pid, _ in managers))
    assert not [*(tmp_path / "site" / "runs").rglob("settings.json")]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def test_block_whose_connection_breaks_goes_on(load, hosts, until):
    with load(init_blocks=1, max_blocks=1) as dfk:
        before = manager_of().result(100)
        task = manager_of(8)
        for host in hosts:
            host.cut()
        assert task.result(100) == before
        assert manager_of().result(100) == before
        until(lambda: dfk.executor_status()[0].blocks == 1)


def test_host_that_dies_is_left_alone_and_its_task_runs_elsewhere(load, hosts, until, caplog):
    with load(init_blocks=1, max_blocks=3) as dfk:
        first, _ = manager_of().result(100)
        task = manager_of(6)
        until(lambda: sum(each["tasks"] for each in dfk.executors["htex"].connected_managers()) == 1)
        hosts[0].stop()
        os.kill(first, signal.SIGKILL)
        assert task.result(200)[0] != first
        hosts[0].start()


def test_run_without_a_host_that_answers_ends_with_the_reason_of_each(load, hosts):
    for host in hosts:
        host.stop()
    with load():
        error = manager_of().exception(200)
    assert isinstance(error, BlockError)
    assert "None of the hosts of AdHocProvider can be used." in str(error)
    assert str(error).count("127.0.0.1") >= 3
    for host in hosts:
        host.start()
