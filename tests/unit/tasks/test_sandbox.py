"""What goes into a task's folder, and what comes out of it."""

import pytest

from cnflow.errors import ConfigurationError
from cnflow.tasks import sandbox as module
from cnflow.tasks.sandbox import remove_leftovers, sandbox


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def opened(tmp_path):
    from pathlib import Path

    def enter(inputs=(), outputs=(), fill=lambda folder: None):
        with sandbox(inputs, outputs, str(tmp_path / "box")) as folder:
            fill(Path(folder))
        assert not list(tmp_path.glob("box-*"))

    return enter


def test_a_folder_is_moved_out_over_one_that_is_there(home, opened):
    (home / "results").mkdir()
    (home / "results" / "old").touch()
    opened(
        outputs=["results"], fill=lambda folder: ((folder / "results").mkdir(), (folder / "results" / "new").touch())
    )
    assert [path.name for path in (home / "results").iterdir()] == ["new"]


def test_a_file_is_moved_to_another_file_system_as_a_whole(home, opened, monkeypatch):
    real = module.Path.replace

    def no_rename(self, target):
        if self.parent.name.startswith("box-"):
            raise OSError("cross-device link")
        return real(self, target)

    monkeypatch.setattr(module.Path, "replace", no_rename)
    opened(outputs=["out"], fill=lambda folder: (folder / "out").write_text("x"))
    assert [(path.name, path.read_text()) for path in home.iterdir()] == [("out", "x")]


def test_an_input_that_is_the_output_too_is_changed_in_place(home, opened):
    (home / "both").write_text("before")
    opened(["both"], ["both"], lambda folder: (folder / "both").write_text("after"))
    assert (home / "both").read_text() == "after"
    assert not (home / "both").is_symlink()


def test_an_input_with_the_name_of_another_output_is_refused(home, opened):
    with pytest.raises(ConfigurationError, match="same file"):
        opened(["data/x"], ["x"])


@pytest.mark.parametrize("output", ["../x", "a/../../x", ".", ""])
def test_an_output_outside_of_the_sandbox_is_refused(home, opened, output):
    with pytest.raises(ConfigurationError, match="outside"):
        opened(outputs=[output])


def test_an_absolute_output_is_written_where_it_belongs(home, tmp_path, opened):
    target = tmp_path / "there"
    opened(outputs=[str(target)], fill=lambda folder: target.write_text("x"))
    assert target.read_text() == "x"


def test_the_same_input_twice_is_linked_once(home, opened):
    opened(["x", home / "x"])


def test_leftovers_are_those_of_one_process_alone(tmp_path):
    for name in ("box-1-aaa", "box-1-bbb", "box-11-ccc"):
        (tmp_path / name).mkdir()
    remove_leftovers(str(tmp_path / "box-1"))
    assert [path.name for path in tmp_path.iterdir()] == ["box-11-ccc"]
