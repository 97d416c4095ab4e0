import os
import subprocess

import pytest

from cnflow.worker.beginning import Beginning


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder to be in; the process is as before afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEPT", "1")
    mask = os.umask(0o022)
    yield tmp_path
    os.umask(mask)


def test_folder_variables_and_umask_return(home):
    beginning = Beginning()
    for _ in range(2):
        os.chdir("/")
        os.umask(0o777)
        os.environ["ADDED"] = "x"
        os.environ["KEPT"] = "2"
        del os.environ["PATH"]
        beginning.restore()
        assert os.path.realpath(".") == str(home)
        assert os.umask(0o022) == 0o022
        assert ("ADDED" in os.environ, os.environ["KEPT"], "PATH" in os.environ) == (False, "1", True)


def test_variables_reach_programs_again(home):
    beginning = Beginning()
    os.environ.clear()
    beginning.restore()
    assert subprocess.run("echo $KEPT", shell=True, capture_output=True, check=True).stdout == b"1\n"


def test_other_object_in_the_place_of_the_environment_is_dropped(home, monkeypatch):
    environ = os.environ
    beginning = Beginning()
    monkeypatch.setattr(os, "environ", {"KEPT": "3"})
    beginning.restore()
    assert os.environ is environ


def test_removed_folder_is_returned_to_by_its_descriptor(home):
    folder = home / "gone"
    folder.mkdir()
    os.chdir(folder)
    beginning = Beginning()
    folder.rmdir()
    os.chdir("/")
    beginning.restore()
    with pytest.raises(FileNotFoundError):
        os.path.realpath(".")
    os.chdir("/")
    folder.mkdir()
    beginning.restore()
    assert os.path.realpath(".") == str(folder), "the path leads to a folder again"


def test_worker_that_began_in_a_removed_folder_stays_in_it(home):
    folder = home / "gone"
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()
    beginning = Beginning()
    os.chdir("/")
    beginning.restore()
    with pytest.raises(FileNotFoundError):
        os.path.realpath(".")
