"""Copies and streams of one task, beside the run: what goes wrong with them ends that task alone."""

from concurrent.futures import Future

import pytest

from cnflow.dataflow.copies import StagedCopies
from cnflow.dataflow.file_routes import LeftFiles
from cnflow.dataflow.temporary_files import TemporaryOutputs
from cnflow.errors import StagingError
from cnflow.ids import TaskId
from cnflow.model.task import Outcome


@pytest.fixture
def left(tmp_path):
    return LeftFiles(None, TemporaryOutputs(None, [], None))


@pytest.fixture
def copies(tmp_path):
    made, copy, path = StagedCopies(), Future(), tmp_path / "staged" / "1" / "a.csv"
    path.parent.mkdir(parents=True)
    made.add(str(path), copy)
    copy.set_result(None)
    return made


def test_copy_is_removed_after_a_task_whose_result_holds_itself(copies, tmp_path):
    task, result = Future(), []
    result.append(result)
    copies.remove_after(task)
    task.set_result(result)
    assert not (tmp_path / "staged" / "1").exists()


def test_copy_that_the_result_names_is_kept(copies, tmp_path):
    task = Future()
    copies.remove_after(task)
    task.set_result({"path": [str(tmp_path / "staged" / "1" / "a.csv")]})
    assert (tmp_path / "staged" / "1").exists()


def test_stream_is_appended_to_its_file(left, tmp_path):
    place = tmp_path / "out.txt"
    place.write_text("before\n")
    left.add_stream("stdout", str(place), "a+")
    part = tmp_path / left.places["stdout"]
    part.write_text("now\n")
    left.on_items(Outcome(TaskId(0), None))
    assert place.read_text() == "before\nnow\n"
    assert not part.exists()


def test_stream_that_cannot_be_appended_is_an_error_of_its_task(left, tmp_path):
    place = tmp_path / "out"
    place.mkdir()
    left.add_stream("stdout", str(place), "a+")
    part = tmp_path / left.places["stdout"]
    part.write_text("now\n")
    with pytest.raises(StagingError, match=r"What the task printed cannot be appended to .*out: IsADirectoryError"):
        left.on_items(Outcome(TaskId(0), None))
    assert not part.exists()
