"""Drivers that share a standing pool: what they get from it, and what happens to one that loses it."""

import subprocess
import sys
import time

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import ExistingPool, HighThroughputExecutor, ThreadPoolExecutor
from cnflow.errors import ConfigurationError, InterchangeLostError
from tests.standing_pool import StandingPool

SCRIPT = """
import sys
import cnflow
from cnflow import Config, python_app
from cnflow.config import ExistingPool, HighThroughputExecutor

provider = ExistingPool(sys.argv[1], key=sys.argv[2])

@python_app
def process():
    import os
    return os.getppid()

if __name__ == "__main__":
    executor = HighThroughputExecutor(label="shared", provider=provider)
    with cnflow.load(Config(run_dir=sys.argv[3], executors=[executor])):
        print(process().result())
"""


@python_app
def process():
    import os

    return os.getppid()


@python_app
def after(seconds, value):
    import time

    time.sleep(seconds)
    return value


@pytest.fixture
def pool(tmp_path):
    with StandingPool(tmp_path) as pool:
        yield pool


@pytest.fixture
def load(tmp_path):
    def load(provider, *others, **options):
        executor = HighThroughputExecutor(label="shared", provider=provider, **options)
        return cnflow.load(Config(run_dir=str(tmp_path / "runs"), executors=[executor, *others]))

    return load


def test_two_drivers_run_on_the_workers_of_one_pool(pool, load, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with load(ExistingPool(pool.address, key=pool.key("ann"))):
        manager = process().result()
        command = [sys.executable, script, pool.address, pool.key("bob"), str(tmp_path / "other")]
        other = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert other.stdout == f"{manager}\n", other.stderr
    names = {each["name"] for each in pool.status().get("clients", [])}
    assert names <= {"ann", "bob"}


def test_large_arguments_and_results_pass_the_pool(pool, load):
    @python_app
    def doubled(data):
        return data * 2

    with load(ExistingPool(pool.address, key=pool.key("ann"))):
        assert doubled(b"x" * 3_000_000).result() == b"x" * 6_000_000


def test_tasks_survive_a_restart_of_the_pools_server(pool, load):
    with load(ExistingPool(pool.address, key=pool.key("ann"))):
        results = [after(0.3, number) for number in range(12)]
        time.sleep(1)
        pool.stop()
        pool.start()
        assert [each.result() for each in results] == list(range(12))


def test_withdrawn_key_fails_the_executor_in_words(pool, load):
    key = pool.key("ann")
    pool.revoke("ann")
    with (
        load(ExistingPool(pool.address, key=key)),
        pytest.raises(InterchangeLostError, match="the pool refuses the key of this client"),
    ):
        process().result()


def test_key_that_is_withdrawn_in_the_midst_fails_the_executor_in_words(pool, load):
    with load(ExistingPool(pool.address, key=pool.key("ann"))):
        assert after(0, 1).result() == 1
        pool.revoke("ann")
        with pytest.raises(InterchangeLostError, match="the pool refuses the key of this client"):
            after(100, 1).result(timeout=90)


def test_pool_that_is_not_there_fails_in_words(pool, load):
    key, address = pool.key("ann"), pool.address
    pool.stop()
    try:
        with (
            load(ExistingPool(address, key=key, cmd_timeout=3)),
            pytest.raises(
                InterchangeLostError, match=rf"no pool was reached at {address} within 3 s.*check that it runs"
            ),
        ):
            process().result()
    finally:
        pool.start()


def test_image_that_no_pool_runs_is_refused_when_the_configuration_is_loaded(pool, load):
    with pytest.raises(
        ConfigurationError, match=r"No pool of the server at tcp.* runs image 'app:1'.*main \(no image\)"
    ):
        load(ExistingPool(pool.address, key=pool.key("ann")), image="app:1")


def test_app_with_an_image_that_no_pool_has_is_refused(pool, load):
    @python_app(image="app:1")
    def in_image():
        return None

    with (
        load(ExistingPool(pool.address, key=pool.key("ann")), ThreadPoolExecutor()),
        pytest.raises(ConfigurationError, match=r"No executor runs image 'app:1' \(images here: none\)"),
    ):
        in_image().result()


def test_fresh_task_is_refused(pool, load):
    @python_app(fresh=True)
    def alone():
        return None

    with (
        load(ExistingPool(pool.address, key=pool.key("ann"))),
        pytest.raises(ConfigurationError, match="fresh is an option of the pool, which has its workers already"),
    ):
        alone().result()
