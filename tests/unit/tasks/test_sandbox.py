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
def run_in_sandbox(tmp_path):
    from pathlib import Path

    def enter(inputs=(), outputs=(), fill=lambda folder: None):
        with sandbox(inputs, outputs, str(tmp_path / "box")) as folder:
            fill(Path(folder))
        assert not list(tmp_path.glob("box-*"))

    return enter


def test_an_output_folder_replaces_an_existing_one(home, run_in_sandbox):
    (home / "results").mkdir()
    (home / "results" / "old").touch()
    run_in_sandbox(
        outputs=["results"], fill=lambda folder: ((folder / "results").mkdir(), (folder / "results" / "new").touch())
    )
    assert [path.name for path in (home / "results").iterdir()] == ["new"]


def test_an_output_appears_complete_on_another_file_system(home, run_in_sandbox, monkeypatch):
    real = module.Path.replace

    def no_rename(self, target):
        if self.parent.name.startswith("box-"):
            raise OSError("cross-device link")
        return real(self, target)

    monkeypatch.setattr(module.Path, "replace", no_rename)
    run_in_sandbox(outputs=["out"], fill=lambda folder: (folder / "out").write_text("x"))
    assert [(path.name, path.read_text()) for path in home.iterdir()] == [("out", "x")]


def test_an_input_that_is_an_output_too_is_changed_in_place(home, run_in_sandbox):
    (home / "both").write_text("before")
    run_in_sandbox(["both"], ["both"], lambda folder: (folder / "both").write_text("after"))
    assert (home / "both").read_text() == "after"
    assert not (home / "both").is_symlink()


def test_an_input_with_the_name_of_an_output_is_refused(home, run_in_sandbox):
    with pytest.raises(ConfigurationError, match="same file"):
        run_in_sandbox(["data/x"], ["x"])


@pytest.mark.parametrize("output", ["../x", "a/../../x", ".", ""])
def test_a_relative_output_outside_of_the_sandbox_is_refused(home, run_in_sandbox, output):
    with pytest.raises(ConfigurationError, match="outside"):
        run_in_sandbox(outputs=[output])


def test_an_absolute_output_is_not_moved(home, tmp_path, run_in_sandbox):
    target = tmp_path / "there"
    run_in_sandbox(outputs=[str(target)], fill=lambda folder: target.write_text("x"))
    assert target.read_text() == "x"


def test_an_input_that_is_named_twice_is_linked_once(home, run_in_sandbox):
    run_in_sandbox(["x", home / "x"])


def test_only_sandboxes_with_the_prefix_of_the_process_are_removed(tmp_path):
    for name in ("box-1-aaa", "box-1-bbb", "box-11-ccc"):
        (tmp_path / name).mkdir()
    remove_leftovers(str(tmp_path / "box-1"))
    assert [path.name for path in tmp_path.iterdir()] == ["box-11-ccc"]
