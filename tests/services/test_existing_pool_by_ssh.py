"""A pool that listens on the loopback interface of another machine, used through a real sshd."""

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import ExistingPool, HighThroughputExecutor
from cnflow.errors import ConfigurationError
from tests.standing_pool import StandingPool

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(300)]


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
def load(tmp_path, sshd, pool):
    def load(folder, **options):
        words = ["-i", str(sshd.folder / "user"), *sshd.options()]
        provider = ExistingPool(
            f"ssh://127.0.0.1:{sshd.port}{folder}", key=pool.key("ann"), ssh_options=words, **options
        )
        executor = HighThroughputExecutor(label="shared", provider=provider)
        return cnflow.load(Config(run_dir=str(tmp_path / "runs"), executors=[executor]))

    return load


def test_tasks_run_on_a_pool_behind_a_login(load, pool):
    with load(pool.folder):
        assert [each.result() for each in [after(0, number) for number in range(50)]] == list(range(50))


def test_no_task_is_lost_with_the_connection(load, pool, sshd):
    with load(pool.folder):
        results = [after(0.2, number) for number in range(20)]
        results[0].result()
        sshd.cut()
        assert [each.result() for each in results] == list(range(20))


def test_folder_without_a_pool_is_named_when_the_configuration_is_loaded(load, tmp_path):
    with pytest.raises(ConfigurationError, match=r"(?s)no pool server has its files there: .*No such file.*pool start"):
        load(tmp_path / "none")


def test_login_that_is_refused_is_quoted_when_the_configuration_is_loaded(load, pool, sshd):
    (sshd.folder / "user.pub").write_text("")
    with pytest.raises(ConfigurationError, match=r"ssh 127\.0\.0\.1 fails: .*Permission denied"):
        load(pool.folder)
