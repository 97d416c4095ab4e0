import json
import logging
import os

import pytest

from cnflow.clock import SystemClock
from cnflow.executors.high_throughput.address_folder import AddressFolder
from cnflow.executors.high_throughput.listening_managers import ListeningManagers
from cnflow.ids import BlockId, ManagerId
from cnflow.model.listening_address import ListeningAddress
from cnflow.wire.dial_messages import Dial, DialFailed

ADDRESS = ListeningAddress("ab" * 6, BlockId("0"), ("10.0.0.1",), (50000, 50001))
DIAL = Dial(ManagerId(b"\xab" * 6), BlockId("0"), ("10.0.0.1",), (50000, 50001))


def write(folder, address):
    unfinished = folder / "unfinished"
    unfinished.write_bytes(address.to_json())
    os.replace(unfinished, folder / address.file_name)  # noqa: PTH105 - as managers do


@pytest.fixture
def folder(tmp_path):
    made = AddressFolder(str(tmp_path / "addresses"))
    made.create()
    return made


@pytest.fixture
def path(tmp_path):
    return tmp_path / "addresses"


def test_address_is_returned_once_and_again_when_it_changes(folder, path):
    assert folder.changed(0.0) == []
    write(path, ADDRESS)
    assert folder.changed(1.0) == [ADDRESS]
    assert folder.changed(2.0) == []
    moved = ListeningAddress(ADDRESS.manager, ADDRESS.block, ("10.0.0.9",), ADDRESS.ports)
    write(path, moved)
    assert folder.changed(100.0) == [moved]


def test_change_that_the_time_of_the_folder_hides_is_found_soon(folder, path):
    status = path.stat()
    folder.changed(0.0)
    write(path, ADDRESS)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert folder.changed(1.9) == [ADDRESS]


@pytest.mark.parametrize(
    "change",
    [{"hosts": ["tcp://x"]}, {"manager": "xyz"}, {"ports": [0, 1]}, {"ports": [1]}, {"hosts": 5}],
    ids=lambda change: next(iter(change)),
)
def test_file_that_is_no_address_is_reported_and_left_out(folder, path, caplog, change):
    content = {**json.loads(ADDRESS.to_json()), **change}
    (path / ADDRESS.file_name).write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        assert folder.changed(0.0) == folder.changed(0.1) == []
    assert caplog.text.count("cannot be read as the address of a manager") == 1


def test_files_of_a_block_are_removed_with_it(folder, path):
    write(path, ADDRESS)
    folder.changed(0.0)
    folder.remove(BlockId("1"))
    assert (path / ADDRESS.file_name).exists()
    folder.remove(BlockId("0"))
    assert not (path / ADDRESS.file_name).exists()
    folder.delete()
    assert not path.exists()


def test_folder_with_files_of_others_stays(folder, path):
    (path / "notes").touch()
    folder.delete()
    assert path.exists()


@pytest.fixture
def orders():
    return []


@pytest.fixture
def admitted():
    return {}


@pytest.fixture
def listening(path, orders, admitted):
    made = ListeningManagers("htex", str(path), orders.append, lambda: dict(admitted), SystemClock())
    made.start()
    yield made
    made.close()


def test_manager_of_an_admitted_block_is_dialled(listening, path, orders, admitted, until):
    admitted["0"] = ""
    listening.on_admitted()
    write(path, ADDRESS)
    until(lambda: orders == [DIAL])


def test_manager_waits_for_the_admission_of_its_block(listening, path, orders, admitted, until):
    write(path, ADDRESS)
    until(lambda: listening._early)
    assert orders == []
    admitted["0"] = ""
    listening.on_admitted()
    until(lambda: orders == [DIAL])


def test_block_that_cannot_be_reached_is_explained_until_it_is_forgotten(listening, path, until):
    assert listening.explain("0") == f"no manager of it has written its address into {path}"
    listening.on_dial_failed(DialFailed(ManagerId(b"m"), BlockId("0"), "no connection to 10.0.0.1"))
    assert listening.explain("0") == "no connection to 10.0.0.1"
    listening.forget("0")
    until(lambda: listening.explain("0") != "no connection to 10.0.0.1")


def test_folder_that_cannot_be_made_is_an_error(path, orders):
    path.write_text("a file")
    managers = ListeningManagers("htex", str(path / "below"), orders.append, dict, SystemClock())
    with pytest.raises(OSError, match="Not a directory"):
        managers.start()
    managers.close()


def test_folder_that_is_gone_is_reported_once(listening, path, caplog, until):
    with caplog.at_level(logging.WARNING):
        path.rmdir()
        until(lambda: "managers of executor htex are not found" in caplog.text)
        listening.on_admitted()
    assert caplog.text.count("are not found") == 1
