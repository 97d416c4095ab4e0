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


LARGE = """
import random
import sys
import cnflow
from cnflow import Config, python_app
from cnflow.config import ExistingPool, HighThroughputExecutor

address, key, name, run_dir = sys.argv[1:]

@python_app
def reverse(data):
    return data[::-1] + data

if __name__ == "__main__":
    executor = HighThroughputExecutor(label="shared", provider=ExistingPool(address, key=key))
    sent = [random.Random(f"{name}{number}").randbytes(1_500_000 + number) for number in range(8)]
    with cnflow.load(Config(run_dir=run_dir, executors=[executor])):
        results = [future.result() for future in [reverse(data) for data in sent]]
    print(sum(result == data[::-1] + data for data, result in zip(sent, results)), "of", name)
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


def test_two_drivers_pass_large_arguments_and_results_at_the_same_time(pool, tmp_path):
    script = tmp_path / "large.py"
    script.write_text(LARGE)
    drivers = [
        subprocess.Popen(
            [sys.executable, script, pool.address, pool.key(name), name, str(tmp_path / name)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("ann", "bob")
    ]
    try:
        ended = [driver.communicate(timeout=90) for driver in drivers]
    finally:
        for driver in drivers:
            driver.kill()
    assert [out for out, _ in ended] == ["8 of ann\n", "8 of bob\n"], [err for _, err in ended]


def test_tasks_survive_a_restart_of_the_pools_server(pool, load):
    with load(ExistingPool(pool.address, key=pool.key("ann"))):
        results = [after(0.3, number) for number in range(12)]
        time.sleep(1)
        pool.stop()
        pool.start()
        assert [each.result() for each in results] == list(range(12))


@pytest.mark.long
def test_withdrawn_key_fails_the_executor_in_words(pool, load, until):
    key = pool.key("ann")
    until(lambda: "client ann may connect" in pool.log, timeout=30.0)
    pool.revoke("ann")
    until(lambda: "the key of client ann was withdrawn" in pool.log, timeout=30.0)
    words = "it has forgotten this driver, or refuses its key.*(\n.*)*the pool refuses the key of this client"
    with load(ExistingPool(pool.address, key=key)), pytest.raises(InterchangeLostError, match=words):
        process().result(timeout=90)


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
