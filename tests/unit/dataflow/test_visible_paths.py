"""Paths of a call where tasks do not see all files of this machine."""

import pytest

from cnflow.channels import SSHChannel
from cnflow.dataflow.visible_paths import VisiblePaths
from cnflow.errors import ConfigurationError
from cnflow.model.visible_files import VisibleFiles
from cnflow.providers import CondorProvider, SlurmProvider

RUN_DIR = "/home/ada/run/runinfo/000"


def paths(visible):
    return VisiblePaths(visible, "htex", "simulate", "/home/ada/run")


def test_paths_of_a_call_are_those_of_a_site_elsewhere():
    there = paths(SlurmProvider(channel=SSHChannel(host="login1")).visible_files([RUN_DIR]))
    there.check_output("stdout", "/scratch/ada/out.txt")
    with pytest.raises(ConfigurationError) as raised:
        there.check_own("stdout", RUN_DIR)
    assert str(raised.value) == (
        "simulate(stdout='/home/ada/run/runinfo/000'): tasks of executor 'htex' do not see /home/ada/run/runinfo/000; "
        "it would be lost with them. Of this machine they see none of its folders. The script runs elsewhere: name "
        "files of the site by their paths there."
    )


def test_slots_of_a_pool_see_nothing_of_this_machine():
    slots = paths(CondorProvider().visible_files([RUN_DIR]))
    for check in (slots.check_output, slots.check_own):
        with pytest.raises(ConfigurationError, match=r"tasks of executor 'htex' do not see .* they see /cvmfs"):
            check("stdout", RUN_DIR)


@pytest.mark.parametrize(("own", "others"), [(("/home/ada/run",), ()), (("/home/ada/run",), ("/home",))])
def test_folder_of_the_run_may_be_one_that_tasks_see_at_its_path(own, others, monkeypatch):
    monkeypatch.setattr("os.path.realpath", lambda path: path)
    paths(VisibleFiles(own, others)).check_own("stdout", RUN_DIR)


def test_folder_of_another_machine_at_the_same_path_is_not_that_of_the_run():
    with pytest.raises(ConfigurationError, match="do not see /home/ada/run/runinfo/000; it would be lost"):
        paths(VisibleFiles((), ("/home/ada",))).check_own("stdout", RUN_DIR)
