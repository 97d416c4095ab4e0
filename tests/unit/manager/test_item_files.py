"""Contents in the area of a node: found, put, pinned and evicted; written and verified as they arrive."""

import os
import select
import time
from pathlib import Path

import pytest

from cnflow.ids import ManagerId
from cnflow.manager.items.files import Failed, ItemFiles, Missing, Read, Stored
from cnflow.manager.items.needs import Write
from cnflow.manager.items.objects import Objects
from cnflow.manager.node.area import NodeArea
from cnflow.model.item import ItemForm
from cnflow.tasks.area import make_partial_folder, object_path, partial_folder
from cnflow.tasks.file_identity import identity_of
from cnflow.wire.blob_digest import digest_of

CONTENT = bytes(range(256)) * 5000
KEY = digest_of(CONTENT)
OLD = time.time() + 3600.0
"""Moment at which everything that is here now is old."""


@pytest.fixture
def area(tmp_path, monkeypatch):
    monkeypatch.setattr("cnflow.manager.node.area._MEMORY", str(tmp_path / "memory"))
    (tmp_path / "memory").mkdir()
    made = NodeArea(ManagerId(b"first!"), str(tmp_path))
    yield made
    made.leave()


@pytest.fixture
def files(area):
    made = ItemFiles(area)
    yield made
    made.close()


def reports(files, number=1):
    taken = []
    while len(taken) < number:
        assert select.select([files.source], [], [], 10)[0]
        taken += files.take()
    return taken


def write(files, content=CONTENT, key=KEY, form=ItemForm.FILE):
    half = len(content) // 2
    for offset in (0, half):
        order = Write(key, offset, len(content), 0, form)
        files.write(order, memoryview(content)[offset : len(content) if offset else half])


def names_in(folder):
    return [path.name for path in Path(folder).iterdir()]


def put(objects, content, *, in_memory=False):
    key = digest_of(content)
    path = objects.partial(key, in_memory=in_memory)
    Path(path).write_bytes(content)
    objects.put(path, key, len(content))
    return key


def test_content_that_arrives_is_verified_read_only_and_found_by_its_key(files, area):
    write(files)
    assert reports(files) == [Stored(KEY)]
    path = Path(object_path(area.root, KEY))
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o555
    assert names_in(partial_folder(area.root)) == []
    files.read(KEY, 10, 20, "token")
    assert reports(files) == [Read("token", CONTENT[10:30])]


def test_content_that_has_not_come_whole_goes_with_its_manager(area):
    files = ItemFiles(area)
    files.write(Write(KEY, 0, len(CONTENT), 0, ItemForm.FILE), memoryview(CONTENT)[:1000])
    files.read(KEY, 0, 1, "after")
    assert len(reports(files)) == 1
    assert len(names_in(partial_folder(area.root))) == 1
    files.close()
    assert names_in(partial_folder(area.root)) == []


def test_other_bytes_than_the_digest_says_never_become_a_content(files, area):
    write(files, CONTENT[:-1] + b"x")
    ((failed),) = reports(files)
    assert isinstance(failed, Failed)
    assert "digest" in failed.reason
    assert names_in(partial_folder(area.root)) == names_in(f"{area.root}/objects") == []


def test_bytes_of_an_attempt_that_was_given_up_are_let_go(files, area):
    files.write(Write(KEY, 0, len(CONTENT), 0, 0), memoryview(CONTENT)[:100])
    files.drop(KEY)
    files.write(Write(KEY, 100, len(CONTENT), 0, 0), memoryview(CONTENT)[100:])
    write(files)
    assert reports(files) == [Stored(KEY)]


def test_value_lies_in_memory_and_is_found_by_the_same_path(files, area):
    write(files, form=ItemForm.VALUE)
    assert reports(files) == [Stored(KEY)]
    assert Path(object_path(area.root, KEY)).readlink() == Path(area.memory, KEY.hex())
    files.unpin(KEY)
    files.discard(KEY)
    files.pin(KEY, len(CONTENT))
    assert reports(files) == [Missing(KEY)]
    assert not os.path.lexists(object_path(area.root, KEY))
    assert names_in(area.memory) == ["pins"]


def test_file_of_a_task_is_taken_and_one_that_is_gone_fails(files, area):
    path = Path(make_partial_folder(area.root), "left")
    path.write_bytes(CONTENT)
    files.adopt(KEY, len(CONTENT), str(path))
    files.adopt(b"x" * 16, 5, str(path))
    stored, failed = reports(files, 2)
    assert stored == Stored(KEY)
    assert isinstance(failed, Failed)
    assert not path.exists()


def test_empty_content_is_made(files):
    files.make_empty(digest_of(b""))
    assert reports(files) == [Stored(digest_of(b""))]


def test_full_disk_is_reported_in_words(files, area, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", lambda *args, real=os.write: full() if args[1] != b"\0" else real(*args))
    write(files)
    (failed,) = reports(files)
    assert "has no room for its 1,280,000 bytes" in failed.reason
    assert "working_dir" in failed.reason


def test_pinned_and_linked_contents_are_never_evicted_and_others_go_oldest_first(area, tmp_path):
    objects = Objects(area.root, area.memory, "first")
    keys = [put(objects, bytes([number]) * 1000, in_memory=number == 3) for number in range(4)]
    for number, key in enumerate(keys):
        os.utime(object_path(area.root, key), (1000.0 + number, 1000.0))
    assert objects.evict(0, 0, OLD).removed == 0
    for key in keys:
        objects.unpin(key)
    os.link(object_path(area.root, keys[0]), tmp_path / "in-a-task")
    assert objects.evict(2500, 0, OLD) == (2000, 2)
    assert [objects.pin(key, 1000) for key in keys] == [True, False, True, False]


def test_value_that_is_being_written_stays_and_one_that_nobody_writes_any_more_goes(area):
    objects = Objects(area.root, area.memory, "first")
    content = object_path(area.root, put(objects, b"of a later day"))
    objects.unpin(digest_of(b"of a later day"))
    values = [Path(area.memory, f"value-{number}-x") for number in range(2)]
    for path in values:
        path.write_bytes(b"value")
    os.utime(content, (1000.0, OLD + 1000.0))
    os.utime(values[0], (1000.0, OLD))
    os.utime(values[1], (1000.0, 1000.0))
    assert objects.evict(0, 0, OLD).removed == 2
    assert [path.exists() for path in (Path(content), *values)] == [False, True, False]


def test_fresh_content_is_not_evicted(area):
    objects = Objects(area.root, area.memory, "first")
    objects.unpin(put(objects, b"fresh"))
    assert objects.evict(0, 0, time.time()).removed == 0


@pytest.mark.parametrize("in_memory", [False, True])
def test_what_a_killed_manager_had_pinned_or_half_is_let_go_by_the_others(area, in_memory):
    killed, living, own = (Objects(area.root, area.memory, name) for name in ("killed", "living", "own"))
    keys = [put(objects, name, in_memory=in_memory) for objects, name in ((killed, b"one"), (living, b"another"))]
    partial = [Path(objects.partial(KEY, in_memory=in_memory)) for objects in (killed, living)]
    for path in partial:
        path.touch()
    for lock in killed._locks:
        os.close(lock)
    assert own.evict(0, 0, OLD) == (len(b"another"), 1)
    assert [own.pin(key, size) for key, size in zip(keys, (3, 7), strict=True)] == [False, True]
    assert [path.exists() for path in partial] == [False, True]


def test_changed_content_is_removed_though_it_is_pinned(area):
    objects = Objects(area.root, area.memory, "first")
    key = put(objects, CONTENT)
    objects.remove_changed(key)
    assert not objects.pin(key, len(CONTENT))


def test_managers_of_one_node_share_contents_and_the_last_one_removes_them(area, tmp_path):
    second = NodeArea(ManagerId(b"second"), str(tmp_path))
    assert second.root == area.root
    first_objects = Objects(area.root, area.memory, area.owner)
    second_objects = Objects(second.root, second.memory, second.owner)
    key = put(first_objects, CONTENT)
    assert second_objects.pin(key, len(CONTENT))
    first_objects.discard(key)
    first_objects.unpin_all()
    assert second_objects.evict(0, 0, OLD).removed == 0
    second.leave()
    assert Path(area.root).is_dir()
    area.leave()
    assert not Path(area.root).exists()
    assert not Path(area.memory).exists()


def test_what_a_killed_manager_has_left_is_removed_by_the_next_one(tmp_path, area):
    put(Objects(area.root, area.memory, "first"), CONTENT)
    for lock in area._locks.values():
        os.close(lock)
    area._locks.clear()
    second = NodeArea(ManagerId(b"second"), str(tmp_path))
    assert names_in(second.root) == []
    second.leave()


def test_folder_that_cannot_be_written_to_is_replaced_by_that_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = NodeArea(ManagerId(b"first!"), "/proc")
    assert made.root.startswith(str(tmp_path))
    made.leave()


def test_area_of_another_user_or_open_to_others_is_refused(area, tmp_path, monkeypatch):
    Path(area.root).chmod(0o777)
    with pytest.raises(PermissionError, match="open to others"):
        NodeArea(ManagerId(b"second"), "")._open(area.root)


@pytest.fixture
def nameless(area):
    """Descriptor of a file without a name, in memory, with the content; and its place."""
    file = os.open(area.memory, os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(file, CONTENT)
    yield file, f"/proc/{os.getpid()}/fd/{file} {identity_of(file)}"
    os.close(file)


def test_nameless_file_of_a_process_on_this_machine_is_the_content_without_a_copy(files, area, nameless):
    file, place = nameless
    files.pin(KEY, len(CONTENT), place)
    assert reports(files) == [Stored(KEY)]
    assert Path(object_path(area.root, KEY)).stat().st_ino == os.fstat(file).st_ino
    assert Objects(area.root, area.memory, "second").pin(KEY, len(CONTENT))


@pytest.mark.parametrize("flaw", ["0:0", "nothing", "/etc/passwd 1:1", "/proc/1/fd/99999 1:1"])
def test_place_that_is_of_another_machine_is_not_believed(files, nameless, flaw):
    place = nameless[1].partition(" ")[0] + " 0:0" if flaw == "0:0" else flaw
    files.pin(KEY, len(CONTENT), place)
    assert reports(files) == [Missing(KEY)]


def test_what_a_killed_worker_was_about_to_leave_is_removed(area, files):
    make_partial_folder(area.root)
    folders = Path(partial_folder(area.root)), Path(area.memory)
    for folder in folders:
        for name in ("7-ab", "7-cd", "77-ab", "value-7-x", "value-77-x"):
            (folder / name).write_text("unfinished")
    files.remove_leftovers(7, {str(folders[0] / "7-cd")})
    files.pin(KEY, len(CONTENT))
    assert reports(files) == [Missing(KEY)]
    assert {"7-ab", "7-cd", "77-ab", "value-77-x"} - set(names_in(folders[0])) == {"7-ab"}
    assert "value-7-x" not in names_in(folders[0])
    assert "value-7-x" not in names_in(folders[1])
    assert "value-77-x" in names_in(folders[1])


def test_node_without_any_folder_fails_its_items_with_words_and_nothing_else(area, monkeypatch):
    monkeypatch.setattr(NodeArea, "_open", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    without = NodeArea(ManagerId(b"second"), "")
    assert (without.root, without.memory, without.variables) == ("", "", {})
    files = ItemFiles(without)
    files.pin(KEY, len(CONTENT))
    files.unpin(KEY)
    files.remove_leftovers(1)
    write(files)
    files.read(KEY, 0, 5, "token")
    missing, failed, read = reports(files, 3)
    assert missing == Missing(KEY)
    assert "cannot be written on this node" in failed.reason
    assert read.data is None
    files.close()
    without.leave()


def test_contents_beyond_the_limit_of_the_user_are_removed_as_others_arrive(tmp_path, monkeypatch):
    monkeypatch.setattr("cnflow.manager.items.objects._FRESH", -1.0)
    small = NodeArea(ManagerId(b"first!"), str(tmp_path), len(CONTENT))
    files = ItemFiles(small)
    other = CONTENT[::-1]
    for content in (CONTENT, other):
        write(files, content, digest_of(content))
        files.unpin(digest_of(content))
    write(files, b"last", digest_of(b"last"))
    assert reports(files, 3) == [Stored(KEY), Stored(digest_of(other)), Stored(digest_of(b"last"))]
    files.pin(KEY, len(CONTENT))
    assert reports(files) == [Missing(KEY)]
    files.close()
    small.leave()
