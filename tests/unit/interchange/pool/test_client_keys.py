"""Keys of clients in a folder, and the queue and the blobs of a client."""

import pytest

from cnflow.interchange.pool.blobs import BlobOwners, renamed
from cnflow.interchange.pool.client_keys import ClientKey, ClientKeys, parse_key
from cnflow.interchange.pool.client_queue import ClientQueue
from cnflow.model.item import Item
from cnflow.wire.bulk import Offer
from cnflow.wire.manager_messages import Needs
from cnflow.wire.messages import Result, Task

KEY = "k" * 40


def test_keys_are_read_again_when_the_folder_changes(tmp_path):
    keys = ClientKeys(str(tmp_path / "keys"))
    assert not keys.read()
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "ann.key").write_text(f"{KEY}\n")
    (tmp_path / "keys" / "bob.key").write_text(f"{KEY} 2.5")
    assert keys.read()
    assert keys.keys == {"ann": ClientKey(KEY), "bob": ClientKey(KEY, 2.5)}
    assert not keys.read()
    (tmp_path / "keys" / "ann.key").unlink()
    assert keys.read()
    assert set(keys.keys) == {"bob"}


def test_keys_of_a_mounted_secret_are_links_that_change_at_once(tmp_path):
    for version in ("one", "two"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "ann.key").write_text(f"{version[0] * 40}")
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "ann.key").symlink_to("..data/ann.key")
    keys = ClientKeys(str(tmp_path))
    assert keys.read()
    assert keys.keys == {"ann": ClientKey("o" * 40)}
    _link(tmp_path / "new", "..two").replace(tmp_path / "..data")
    assert keys.read()
    assert keys.keys == {"ann": ClientKey("t" * 40)}


def test_key_that_vanishes_while_the_folder_is_read_withdraws_no_other(tmp_path):
    names = [f"c{number}" for number in range(20)]
    for name in names:
        (tmp_path / f"{name}.key").write_text(KEY)
    keys = ClientKeys(str(tmp_path))
    assert keys.read()
    for number in range(20):
        _link(tmp_path / f"gone{number}.key", "nowhere")
    keys.read()
    assert set(keys.keys) == set(names)


def test_keys_stay_while_their_folder_cannot_be_listed(tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "ann.key").write_text(KEY)
    keys = ClientKeys(str(tmp_path / "keys"))
    assert keys.read()
    (tmp_path / "keys").rename(tmp_path / "moved")
    (tmp_path / "keys").write_text("no folder")
    assert not keys.read()
    assert set(keys.keys) == {"ann"}


def _link(path, target):
    path.symlink_to(target)
    return path


@pytest.mark.parametrize("text", ["", "short", f"{KEY} 0", f"{KEY} -1", f"{KEY} nan", f"{KEY} 1 2", f"{KEY} heavy"])
def test_file_without_a_key_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_key(text)


def task(number, needs=None, attempt=0):
    return Task(number, b"f" * 16, b"", needs=needs, attempt=attempt), ()


def test_queue_orders_tasks_with_needs_by_priority_and_skips_kinds_without_room():
    queue = ClientQueue()
    for parcel in (task(1), task(2, Needs(cores=1, priority=5)), task(3, Needs(cores=1, priority=1)), task(4)):
        queue.add(parcel)
    one_core = (1, -1, -1)
    assert queue.first(lambda kind: True) == (one_core,)
    assert queue.first(lambda kind: kind is None) == (None,)
    assert queue.first(lambda kind: False) is None
    assert [parcel[0].id for parcel in queue.take(one_core, 5)] == [3, 2]
    assert [parcel[0].id for parcel in queue.take(None, 1)] == [1]
    assert (len(queue), queue.position(4), queue.position(1)) == (1, 0, -1)


def test_queue_with_very_many_kinds_keeps_them_in_one_line():
    queue = ClientQueue()
    for number in range(500):
        queue.add(task(number, Needs(cores=number + 1)))
    assert len(queue._lines) <= 65
    taken = []
    while len(queue):
        (kind,) = queue.first(lambda kind: True)
        taken += [parcel[0].id for parcel in queue.take(kind, 10)]
    assert sorted(taken) == [*range(500)]


def test_names_of_blobs_of_two_clients_differ_and_lead_back():
    blob = b"0123456789abcdef" + b"7"
    assert len({blob, renamed(blob, 1), renamed(blob, 2)}) == 3
    assert renamed(renamed(blob, 2), 2) == blob
    owners = BlobOwners()
    for client in (1, 2):
        parcel = Task(1, b"f" * 16, b"", blobs=(Offer(blob, 5, 0),)), ()
        owners.on_tasks(client, [parcel])
        assert owners.argument_of(parcel[0].blobs[0].blob) == client
    assert owners.release_arguments(1, [blob]) == [renamed(blob, 1)]
    assert owners.argument_of(renamed(blob, 1)) is None
    assert owners.argument_of(renamed(blob, 2)) == 2


def test_item_is_released_by_its_client_alone():
    owners = BlobOwners()
    parcel = Task(1, b"f" * 16, b"", items=(Item(b"0123456789abcdef" + b"holding1", 5),)), ()
    owners.on_tasks(1, [parcel])
    name = parcel[0].items[0].id
    assert owners.release_arguments(2, [renamed(name, 2)]) == []
    assert owners.argument_of(name) == 1
    assert owners.release_arguments(1, [b"0123456789abcdef" + b"holding1"]) == [name]


def test_part_of_a_result_is_released_by_its_client_alone():
    owners = BlobOwners()
    owners.on_results(1, [(Result(1, 0, b"", blobs=(Offer(b"part", 5, 0, b"m1"),)), ())])
    assert owners.release_results(2, b"m1", [b"part"]) == []
    assert owners.release_results(1, b"m1", [b"part"]) == [b"part"]
    owners.on_results(1, [(Result(1, 0, b"", blobs=(Offer(b"part", 5, 0, b"m1"),)), ())])
    assert owners.on_client_gone(1) == {b"m1": [b"part"]}
    assert owners.result_of(b"m1", b"part") is None


def test_key_whose_file_is_half_written_stays_as_it_was(tmp_path, caplog):
    file = tmp_path / "ann.key"
    file.write_text(f"{KEY} 2.5")
    keys = ClientKeys(str(tmp_path))
    keys.read()
    for half in ("", KEY[:20], f"{KEY} 2.", f"{KEY} x"):
        file.write_text(half)
        assert keys.read()
        assert set(keys.keys) == {"ann"}
    assert "stays as it was; delete its file to withdraw it" in caplog.text
    file.unlink()
    assert keys.read()
    assert keys.keys == {}
