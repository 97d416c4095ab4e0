"""Tests of jobs whose files the scheduler brings to the node."""

import sys

import pytest

from cnflow.config import CondorProvider
from cnflow.ids import BlockId
from cnflow.model.node_command import NodeCommand
from cnflow.providers.batch.condor import DIALECT
from cnflow.providers.batch.jobs import Job
from cnflow.providers.batch.requests import Place, make_request, preview_of
from cnflow.sites.folder import BareNode

NODE = BareNode("/s/capsules/TAG/python/bin/python3", "/s/capsules/TAG")


@pytest.fixture
def made(request_for):
    """Makes the request for blocks 4 and 5: ``made(settings, command=None)``."""

    def make(settings, node=NODE, command=None):
        requests = [request_for(block=str(number)) for number in (4, 5)]
        requests = [type(each)(**{**each.__dict__, "command": command}) for each in requests]
        return make_request(settings, DIALECT, Place("/s", node, is_local=False), Job(tuple(requests)))

    return make


def test_job_finds_code_and_settings_in_its_first_folder(made):
    request, files = made(CondorProvider())
    name = request.name
    assert request.files == ("/s/capsules/TAG",)
    assert [path.rpartition("/")[2] for path in request.element_files] == [f"{name}.settings"]
    assert sorted(files) == [f"{name}.settings.0", f"{name}.settings.1"]
    assert (
        'exec "$CNFLOW_FOLDER"/TAG/python/bin/python3 -I "$CNFLOW_FOLDER"/TAG/cnflow/manager/__main__.py '
        f'"$CNFLOW_FOLDER"/{name}.settings."$CNFLOW_ARRAY_INDEX"'
    ) in request.body
    assert "/s/" not in request.body


def test_python_of_the_node_stays_where_it_is(made):
    request, _ = made(CondorProvider(python="/usr/bin/python3"), BareNode("/usr/bin/python3", "/s/capsules/TAG"))
    assert 'exec /usr/bin/python3 -I "$CNFLOW_FOLDER"/TAG/cnflow/manager/__main__.py' in request.body


def test_command_of_its_own_needs_no_code(made):
    request, files = made(CondorProvider(), command=NodeCommand(("true",)))
    assert (request.files, request.element_files, files) == ((), (), {})


def test_nothing_is_brought_where_files_are_shared(made):
    request, _ = made(CondorProvider(shared_files=True))
    assert (request.files, request.element_files) == ((), ())
    assert (
        "exec /s/capsules/TAG/python/bin/python3 -I /s/capsules/TAG/cnflow/manager/__main__.py /s/runs/" in request.body
    )


def test_preview_shows_the_python_that_comes_along(request_for):
    script = "\n".join(preview_of(CondorProvider(), DIALECT, request_for(block=BlockId("0")))["script"])
    assert 'exec "$CNFLOW_FOLDER"/CAPSULE/python/bin/python3' in script
    assert sys.executable not in script


def test_slots_see_no_file_of_the_driver():
    visible = CondorProvider().visible_files(["/home/ann/run"])
    assert (visible.own, visible.others) == ((), ("/cvmfs",))
    assert "transfer_input_files" in visible.advice
    assert CondorProvider(shared_files=True).visible_files(["/home/ann/run"]) is None
