import os
import subprocess
from pathlib import Path

import pytest

from cnflow.errors import MissingOutputs, StagingError
from cnflow.model.file import File
from cnflow.model.item import Item, ItemForm
from cnflow.model.task import RunOptions
from cnflow.tasks import values
from cnflow.tasks.area import VARIABLE, object_path, partial_folder
from cnflow.tasks.call import PYTHON, Call
from cnflow.tasks.inside import CHANGED, take_left
from cnflow.tasks.staging.items import run_with_items
from cnflow.tasks.stopping import Cancelled
from cnflow.wire import serialization
from cnflow.wire.blob_digest import digest_of


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    for folder in ("objects", "partial", "tasks"):
        (tmp_path / "area" / folder).mkdir(parents=True)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "area"))
    take_left()
    return str(tmp_path / "area")


def _input(root, url, content, **traits):
    key = digest_of(content)
    Path(object_path(root, key)).write_bytes(content)
    file = File(url, **traits)
    file.item = Item(key + b"8" * 8, len(content), ItemForm.TREE if file.directory or file.glob else ItemForm.FILE)
    return file


def _run(function, *args, leaves=(), **kwargs):
    def run(call):
        assert call.options.leaves is None
        return call.function(*call.args, **call.kwargs)

    return run_with_items(Call(PYTHON, "app", function, args, kwargs, RunOptions(leaves=leaves)), run)


def test_inputs_of_one_name_do_not_collide_and_do_not_outlive_the_task(root):
    files = [_input(root, f"/home/{owner}/a.csv", owner.encode()) for owner in ("ann", "bob")]

    def read(one, inputs):
        paths = [one.filepath, inputs[0].filepath]
        return paths, [Path(path).read_text() for path in paths]

    paths, contents = _run(read, files[0], inputs=[files[1]])
    assert contents == ["ann", "bob"]
    assert [Path(path).name for path in paths] == ["a.csv", "a.csv"]
    assert {path.name for path in Path(root, "tasks").rglob("*") if path.is_file()} == {".lock"}


def test_output_is_left_with_its_digest_under_its_place(root):
    def write(outputs):
        Path(outputs[0]).write_text("made")

    _run(write, outputs=[File("/home/ann/b.csv")], leaves=[("outputs/0", "/home/ann/b.csv", "")])
    (left,) = take_left()
    assert (left.key, left.size, left.form, left.name) == (digest_of(b"made"), 4, ItemForm.FILE, "outputs/0")
    assert str(Path(left.path).parent) == partial_folder(root)
    assert Path(left.path).read_text() == "made"


def test_files_in_the_result_are_those_of_the_user_again(root):
    def write(one, outputs):
        Path(outputs[0]).write_text("made")
        made = {"files": [one, outputs[0]]}
        made["itself"] = made
        return made

    file = _input(root, "/home/ann/a.csv", b"ann")
    made = _run(write, file, outputs=[File("/home/ann/b.csv")], leaves=[("outputs/0", "/home/ann/b.csv", "")])
    assert [each.filepath for each in made["files"]] == ["/home/ann/a.csv", "/home/ann/b.csv"]
    assert [each.item for each in made["files"]] == [None, None]


def test_missing_outputs_are_named_as_the_user_wrote_them():
    with pytest.raises(MissingOutputs, match=r"b\.csv"):
        _run(lambda outputs: None, outputs=[File("b.csv")], leaves=[("outputs/0", "b.csv", "")])
    assert take_left() == []


def test_output_that_is_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(StagingError, match="outside of the task's folder"):
        _run(
            lambda outputs: Path(outputs[0]).symlink_to(tmp_path / "secret"),
            outputs=[File("b")],
            leaves=[("outputs/0", "b", "")],
        )


def test_folder_and_pattern_are_left_as_trees_and_placed_again(root):
    def write(outputs):
        Path(outputs[0]).mkdir()
        for path in (Path(outputs[0]) / "x", Path(outputs[1]).parent / "y.csv"):
            path.write_text(path.name)

    outputs = [File("images", directory=True), File("out/*.csv", glob=True)]
    _run(write, outputs=outputs, leaves=[("outputs/0", "images", "directory"), ("outputs/1", "out/*.csv", "glob")])
    folder, pattern = take_left()
    again = [
        _input(root, "images", Path(folder.path).read_bytes(), directory=True),
        _input(root, "out/*.csv", Path(pattern.path).read_bytes(), glob=True),
    ]

    def read(inputs):
        return [path.name for path in Path(inputs[0]).iterdir()], [Path(path).name for path in inputs[1].paths()]

    assert _run(read, inputs=again) == (["x"], ["y.csv"])


def test_task_that_is_stopped_while_it_leaves_an_output_leaves_no_file(root, monkeypatch):
    def stop(descriptor, size):
        raise Cancelled

    monkeypatch.setattr("cnflow.tasks.staging.items.digest_of_file", stop)
    with pytest.raises(Cancelled):
        _run(
            lambda outputs: Path(outputs[0]).write_text("made"),
            outputs=[File("/home/ann/b.csv")],
            leaves=[("outputs/0", "/home/ann/b.csv", "")],
        )
    assert list(Path(partial_folder(root)).iterdir()) == take_left() == []
    assert {path.name for path in Path(root, "tasks").rglob("*") if path.is_file()} == {".lock"}


def test_output_whose_digest_is_not_known_yet_lies_in_the_folder_that_goes_with_its_worker(root, monkeypatch):
    seen = []

    def look(descriptor, size):
        seen.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        return b"k" * 16

    monkeypatch.setattr("cnflow.tasks.staging.items.digest_of_file", look)
    _run(
        lambda outputs: [os.link(path.filepath, f"{path.filepath}.2") for path in outputs if not write(path)],
        outputs=[File("/home/ann/b.csv")],
        leaves=[("outputs/0", "/home/ann/b.csv", "")],
    )
    assert seen[0].startswith(f"{root}/tasks/")
    assert len(take_left()) == 1


def write(file):
    Path(file).write_text("made")


def test_stream_is_left_also_by_a_task_that_fails():
    def run(call):
        Path(call.options.stdout[0]).write_text("last words")
        raise ValueError("no")

    options = RunOptions(stdout="log", leaves=[("stdout", "log", "")])
    with pytest.raises(ValueError, match="no"):
        run_with_items(Call(PYTHON, "app", len, (), {}, options), run)
    assert [(left.name, left.size) for left in take_left()] == [("stdout", 10)]


def test_input_that_a_task_has_changed_is_announced(root, capsys):
    file = _input(root, "a.csv", b"content")

    def change(file):
        Path(file).chmod(0o600)
        Path(file).write_text("other")

    _run(change, file)
    assert [(left.name, left.key) for left in take_left()] == [(CHANGED, file.item.key)]
    assert "has changed its input 'a.csv'" in capsys.readouterr().err


def test_input_that_a_task_replaces_is_no_change(root):
    file = _input(root, "a.csv", b"content")
    _run(lambda file: (Path(file).unlink(), Path(file).touch()), file)
    assert take_left() == []


def test_program_among_the_inputs_runs_where_objects_are_executable(root):
    file = _input(root, "run.sh", b"#!/bin/sh\necho ran\n")
    Path(object_path(root, file.item.key)).chmod(0o555)
    assert _run(lambda file: subprocess.run([file.filepath], capture_output=True, check=True).stdout, file) == b"ran\n"


def test_task_that_is_stopped_while_it_leaves_its_value_leaves_no_file(root, monkeypatch):
    def stop(content):
        raise Cancelled

    monkeypatch.setattr("cnflow.tasks.values.digest_of", stop)
    with pytest.raises(Cancelled):
        values.leave("value", serialization.dump("value"), 0)
    assert not list(Path(partial_folder(root)).iterdir())
