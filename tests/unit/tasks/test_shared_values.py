"""Values that pass between processes of one machine as mapped memory."""

import os
import pickle
import weakref

import numpy as np
import pytest

from cnflow.executors.high_throughput.shared_arguments import SharedArguments
from cnflow.manager.node.shared_memory import shares_memory
from cnflow.tasks import shared_values, value_files
from cnflow.wire import serialization
from cnflow.wire.manager_messages import ManagerInfo

ARRAY = np.arange(200_000.0)


def info(*, shares):
    return ManagerInfo(1, "", "3.11", "host", "0", "", 1, 1, shares_memory=shares)


@pytest.fixture
def memory():
    made = SharedArguments()
    made.on_manager(info(shares=True))
    return made


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_values, "_MEMORY", str(tmp_path))
    prefix = shared_values.results_prefix(f"/proc/{os.getpid()}/fd/3 {'ab' * 16}")
    monkeypatch.setenv(shared_values.VARIABLE, f"{2**32} {prefix}")
    return tmp_path


def test_arguments_are_mapped_and_each_task_writes_to_its_own(memory):
    packed, kept = memory.packed(serialization.dump((ARRAY, "x")))
    assert len(packed.body) < 300
    assert packed.buffers == ()
    first, word = pickle.loads(packed.body)
    first[0] = -1
    again, _ = pickle.loads(packed.body)
    assert word == "x"
    assert (again == ARRAY).all()
    assert kept is not None


def test_memory_of_arguments_ends_with_its_last_user(memory):
    packed, kept = memory.packed(serialization.dump(ARRAY))
    array, gone = pickle.loads(packed.body), weakref.ref(kept)
    del kept
    assert gone() is None
    assert (array == ARRAY).all(), "who has mapped it keeps it"
    with pytest.raises(OSError, match=r"No such file|no memory of the driver"):
        pickle.loads(packed.body)


def test_arguments_travel_until_a_manager_has_proved_that_it_shares_memory_and_once_one_has_not():
    memory = SharedArguments()
    payload = serialization.dump(ARRAY)
    assert memory.packed(payload) is None
    memory.on_manager(info(shares=True))
    assert memory.packed(payload) is not None
    memory.on_manager(info(shares=False))
    memory.on_manager(info(shares=True))
    assert memory.packed(payload) is None


@pytest.mark.parametrize("value", [np.arange(1000), lambda: ARRAY, b"x" * 1000])
def test_small_arguments_and_those_with_code_travel(memory, value):
    assert memory.packed(serialization.dump(value)) is None


def test_probe_is_found_by_a_process_of_the_same_machine_alone(memory):
    path, _, token = memory.place.rpartition(" ")
    assert shares_memory(memory.place)
    assert not shares_memory(f"{path} {token[:-1]}!")
    assert not shares_memory(f"/proc/1/fd/999 {token}")
    assert not shares_memory("")


def test_result_is_mapped_once_and_its_file_is_gone(folder):
    body = shared_values.leave_result(serialization.dump(ARRAY))
    assert len(list(folder.iterdir())) == 1
    array = pickle.loads(body)
    assert list(folder.iterdir()) == []
    array[0] = -1
    assert array[1] == 1.0
    with pytest.raises(FileNotFoundError):
        pickle.loads(body)


@pytest.mark.parametrize("has_nameless", [True, False])
def test_result_has_no_name_before_it_is_whole_where_the_file_system_has_such_files(folder, monkeypatch, has_nameless):
    names, write = [], value_files.write

    def look(descriptor, chunks):
        write(descriptor, chunks)
        names.append(len(list(folder.iterdir())))

    monkeypatch.setattr(value_files, "write", look)
    if not has_nameless:
        monkeypatch.delattr(os, "O_TMPFILE")
    body = shared_values.leave_result(serialization.dump(ARRAY))
    assert names == [0 if has_nameless else 1]
    assert len(list(folder.iterdir())) == 1
    assert (pickle.loads(body) == ARRAY).all()


@pytest.mark.parametrize("limit", ["", "1000 /dev/shm/cnflow-result-x"])
def test_result_travels_where_it_is_not_shared_or_above_the_users_limit(folder, monkeypatch, limit):
    monkeypatch.setenv(shared_values.VARIABLE, limit)
    assert shared_values.leave_result(serialization.dump(ARRAY)) == b""
    assert list(folder.iterdir()) == []


def test_file_of_a_result_that_nobody_wants_is_removed(folder):
    body = shared_values.leave_result(serialization.dump(ARRAY))
    for other in (b"", pickle.dumps("load_result"), pickle.dumps(("load_result", "/etc/passwd"))):
        shared_values.discard_result(other)
    assert len(list(folder.iterdir())) == 1
    shared_values.discard_result(body)
    shared_values.discard_result(body)
    assert list(folder.iterdir()) == []


def test_results_of_a_killed_driver_are_removed_and_those_of_others_stay(folder, monkeypatch):
    shared_values.leave_result(serialization.dump(ARRAY))
    dead = shared_values.results_prefix(f"/proc/{2**22 + 1}/fd/3 {'ab' * 16}")
    monkeypatch.setenv(shared_values.VARIABLE, f"{2**32} {dead}")
    shared_values.leave_result(serialization.dump(ARRAY))
    (folder / "of others").touch()
    shared_values.remove_results_of_killed_drivers()
    assert len(list(folder.iterdir())) == 2
    shared_values.remove_results(shared_values.results_prefix(f"/proc/{os.getpid()}/fd/3 {'ab' * 16}"))
    assert [path.name for path in folder.iterdir()] == ["of others"]
