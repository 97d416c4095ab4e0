"""What a key for ``cache=True`` is made of where files are staged."""

import pytest

from cnflow.dataflow.memo import identify_files, key_of
from cnflow.model.file import File
from cnflow.model.task import AppFunction, TaskToRun
from cnflow.tasks.staging.movers import ServerMover
from cnflow.tasks.staging.options import ServerOptions
from cnflow.tasks.staging.wrappers import BringInputs


def read(file, outputs=()):
    return file


@pytest.fixture
def staged(tmp_path):
    def make(url, folder, content):
        file = File(url)
        file.local_path = str(tmp_path / folder / file.filename)
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file.filename).write_text(content)
        return file

    return make


def key(file, app=None, outputs=()):
    with identify_files(by_content=False):
        return key_of(TaskToRun(0, app or AppFunction(read), (file,), {"outputs": outputs}), "")


def test_key_depends_on_the_content_of_a_copy_and_not_on_its_path(staged):
    first, again = staged("http://h/x", "1", "same"), staged("http://h/x", "2", "same")
    other, elsewhere = staged("http://h/x", "3", "other"), staged("http://g/x", "4", "same")
    assert key(first) == key(again)
    assert len({key(first), key(other), key(elsewhere)}) == 3


def test_key_of_a_copy_that_only_the_worker_has_is_its_url():
    x, again, y = File("http://h/x"), File("http://h/x"), File("http://h/y")
    x.local_path, again.local_path, y.local_path = "/nowhere/1/x", "/nowhere/2/x", "/nowhere/3/x"
    assert key(x) == key(again) != key(y)


def test_key_does_not_depend_on_the_local_path_of_an_output():
    one, two, other = File("zip:/a.zip/x"), File("zip:/a.zip/x"), File("zip:/a.zip/y")
    one.local_path, two.local_path, other.local_path = "/s/1/x", "/s/2/x", "/s/3/y"
    assert key(1, outputs=[one]) == key(1, outputs=[two]) != key(1, outputs=[other])


def test_key_does_not_depend_on_wrappers_for_staging():
    wrapped = AppFunction(BringInputs(read, ("http",), ServerMover(ServerOptions())), original=read)
    assert key(1, wrapped) == key(1)
