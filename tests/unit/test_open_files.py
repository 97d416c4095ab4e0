import resource
import subprocess
import sys

import pytest

from cnflow.open_files import raise_open_file_limit, set_open_file_limit

CODE = "import resource; input(); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"


@pytest.fixture
def soft_limit():
    """A low soft limit of this process, for the test alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    yield 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_soft_limit_is_raised_to_the_hard_one_or_to_what_is_enough(soft_limit):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_open_file_limit() == (soft_limit, hard)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, 2**20) if hard > 0 else 2**20, hard)


def test_limit_that_cannot_be_raised_is_left(soft_limit, monkeypatch):
    def forbidden(*_):
        raise ValueError("not allowed to raise maximum limit")

    with monkeypatch.context() as patch:
        patch.setattr(resource, "setrlimit", forbidden)
        raise_open_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == soft_limit


def test_child_gets_the_limits_that_are_set_for_it(soft_limit):
    before = raise_open_file_limit()
    with subprocess.Popen([sys.executable, "-c", CODE], stdin=-1, stdout=-1, text=True) as child:
        set_open_file_limit(child.pid, before)
        printed, _ = child.communicate("\n")
    assert int(printed) == soft_limit


def test_process_that_ended_has_no_limit_to_set():
    child = subprocess.Popen(["true"])
    child.wait()
    set_open_file_limit(child.pid, (100, 100))
