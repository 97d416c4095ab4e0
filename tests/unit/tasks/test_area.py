import os
import time
from pathlib import Path

import pytest

from cnflow.tasks.area import (
    MEMORY_VARIABLE,
    VARIABLE,
    Area,
    folders_for_values,
    link_object,
    locate,
    object_path,
    stamp_of,
)

NAME, OTHER = b"n" * 16, b"o" * 16


@pytest.fixture
def area(tmp_path):
    return Area(str(tmp_path / "area"))


def _put(text, calls):
    def fetch(path):
        calls.append(path)
        Path(path).write_text(text)

    return fetch


def test_download_of_one_name_is_fetched_once_and_linked_for_each_task(area, tmp_path):
    calls = []
    for task in ("one", "two"):
        area.fetch_once(NAME, _put("content", calls), str(tmp_path / task / "a.csv"))
    assert [(tmp_path / task / "a.csv").read_text() for task in ("one", "two")] == ["content"] * 2
    assert len(calls) == 1


def test_download_that_fails_leaves_nothing_and_the_next_task_tries_again(area, tmp_path):
    def fail(path):
        Path(path).write_text("half")
        raise ValueError("404")

    with pytest.raises(ValueError, match="404"):
        area.fetch_once(NAME, fail, str(tmp_path / "a"))
    area.fetch_once(NAME, _put("whole", []), str(tmp_path / "a"))
    assert (tmp_path / "a").read_text() == "whole"


def test_download_that_a_task_has_changed_is_fetched_again(area, tmp_path):
    calls = []
    area.fetch_once(NAME, _put("content", calls), str(tmp_path / "one"))
    (tmp_path / "one").chmod(0o600)
    (tmp_path / "one").write_text("changed")
    area.fetch_once(NAME, _put("content", calls), str(tmp_path / "two"))
    assert (tmp_path / "two").read_text() == "content"
    assert len(calls) == 2


def test_eviction_removes_the_download_unused_for_longest_and_none_that_a_task_uses(area, tmp_path):
    for number, name in enumerate((b"a" * 16, b"b" * 16, b"c" * 16)):
        area.fetch_once(name, _put("x" * 10, []), str(tmp_path / f"{number}"))
        path = Path(area.root, "downloads", name.hex())
        os.utime(path, ns=(number * 10**9, path.stat().st_mtime_ns))
    (tmp_path / "1").unlink()
    (tmp_path / "2").unlink()
    assert area.evict_downloads(limit=20, age=time.time() + 10) == 1
    assert sorted(path.name for path in Path(area.root, "downloads").glob("*[!kp]")) == ["61" * 16, "63" * 16]
    assert area.evict_downloads(limit=100, age=60) == 1


def test_folder_of_a_task_is_emptied_even_of_read_only_parts_and_each_task_has_a_name_of_its_own(area):
    folders = []
    for _ in range(3):
        with area.task_folder() as folder:
            folders.append(folder)
            assert not [path for path in Path(folder).rglob("*") if path.is_file() and path.name != ".lock"]
            for path in ("a/b", "in/0", "in/0/tree/x", "out/3", "out/sub"):
                Path(folder, path).mkdir(parents=True, exist_ok=True)
            Path(folder, "out", "3", "file").write_text("x")
            Path(folder, "in", "0", "link").symlink_to("/etc")
            for path in ("a", "in/0/tree"):
                Path(folder, path).chmod(0o500)
    assert len(set(folders)) == len(folders)
    assert not any(Path(folder).exists() for folder in folders[:-1])
    assert Path("/etc/passwd").exists()


def test_task_within_a_task_has_a_folder_of_its_own(area):
    with area.task_folder() as outer, area.task_folder() as inner:
        assert inner != outer


def test_leftovers_are_removed_and_folders_of_running_tasks_are_not(area):
    dead = Path(area.root, "tasks", "dead")
    dead.mkdir(parents=True)
    (dead / ".lock").touch()
    with area.task_folder() as folder:
        area.remove_leftovers()
        assert [path for path in dead.parent.iterdir() if path.name != Path(folder).name] == []


def test_object_is_located_in_the_area_of_the_worker(area, monkeypatch):
    monkeypatch.setenv(VARIABLE, area.root)
    with pytest.raises(FileNotFoundError, match=NAME.hex()):
        locate(NAME)
    Path(area.root, "objects").mkdir(parents=True)
    Path(object_path(area.root, NAME)).touch()
    assert locate(NAME) == object_path(area.root, NAME)


def test_values_go_to_memory_where_it_has_room(area, monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, area.root)
    monkeypatch.setenv(MEMORY_VARIABLE, str(tmp_path))
    assert folders_for_values(1) == [str(tmp_path), f"{area.root}/partial"]
    assert folders_for_values(2**60) == [f"{area.root}/partial"]
    monkeypatch.delenv(VARIABLE)
    monkeypatch.delenv(MEMORY_VARIABLE)
    assert folders_for_values(1) == []


def test_link_to_an_object_in_memory_leads_to_the_file_itself(tmp_path):
    (tmp_path / "memory").write_text("value")
    (tmp_path / "object").symlink_to(tmp_path / "memory")
    link_object(str(tmp_path / "object"), str(tmp_path / "link"))
    assert stamp_of(str(tmp_path / "link")) == stamp_of(str(tmp_path / "memory"))
