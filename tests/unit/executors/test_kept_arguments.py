"""Names of large arguments: one for each content, whatever is hashed to find that out."""

import threading

import pytest

from cnflow.executors.high_throughput import kept_arguments
from cnflow.executors.high_throughput.kept_arguments import KeptArguments
from cnflow.wire import messages as msg
from cnflow.wire.blob_digest import digest_of
from cnflow.wire.bulk import KEY_SIZE, Piece

SIZE = 2 * 2**20


def content(first=0, place=0):
    """Content with one byte that differs, at a place that no sample has."""
    data = bytearray(SIZE)
    data[5000 + place] = first
    return bytes(data)


def keep(arguments, task, data):
    packed, rest = arguments.pack((msg.Task(task, b"f" * 16, b""), [data]))
    assert rest == []
    (offer,) = packed.blobs
    assert arguments.read(Piece(offer.blob, 0, SIZE)) == data
    return offer.blob


@pytest.fixture
def digests(monkeypatch):
    made = []

    def count(data):
        made.append(len(data))
        return digest_of(data)

    monkeypatch.setattr(kept_arguments, "digest_of", count)
    return made


def test_no_digest_is_made_of_a_content_unlike_all_others(digests):
    arguments = KeptArguments()
    blobs = {keep(arguments, n, bytes([n]) * SIZE) for n in range(5)}
    assert len(blobs) == 5
    assert digests == []


def test_equal_contents_have_one_name_and_are_kept_once(digests):
    arguments = KeptArguments()
    assert keep(arguments, 1, content(1)) == keep(arguments, 2, content(1)) == keep(arguments, 3, content(1))
    assert len(arguments) == 1
    assert len(digests) == 3, "of the first one, once a second one may be equal, and of each after it"


def test_contents_that_differ_where_no_sample_is_have_names_of_their_own():
    arguments = KeptArguments()
    contents = [content(n) for n in (1, 2, 3, 1, 2, 3)]
    blobs = [keep(arguments, n, data) for n, data in enumerate(contents)]
    assert blobs[:3] == blobs[3:]
    assert len(set(blobs)) == len(arguments) == 3


def test_content_that_comes_back_after_its_release_has_its_key_and_another_name():
    arguments = KeptArguments()
    first = keep(arguments, 1, content(1))
    assert keep(arguments, 2, content(1)) == first
    assert arguments.release([(1, 0)]) == []
    assert arguments.release([(2, 0)]) == [first]
    again = keep(arguments, 3, content(1))
    assert again != first
    assert again[:KEY_SIZE] == first[:KEY_SIZE]


def test_content_that_comes_back_again_and_again_travels_twice_at_the_most():
    arguments = KeptArguments()
    keys = []
    for task in range(5):
        keys.append(keep(arguments, task, content(1))[:KEY_SIZE])
        assert len(arguments.release([(task, 0)])) == 1
    assert len(set(keys[1:])) == 1
    assert len(arguments) == 0


def test_other_content_with_the_sample_of_a_released_one_has_another_key():
    arguments = KeptArguments()
    first = keep(arguments, 1, content(1))
    arguments.release([(1, 0)])
    assert keep(arguments, 2, content(2))[:KEY_SIZE] != first[:KEY_SIZE]


def test_two_drivers_never_have_one_name():
    assert keep(KeptArguments(), 1, content(1)) != keep(KeptArguments(), 1, content(2))


def test_names_are_digests_where_drivers_compare_them():
    arguments = KeptArguments()
    arguments.has_digests_as_names = True
    assert keep(arguments, 1, content(1))[:KEY_SIZE] == digest_of(content(1))


def test_forgotten_digests_cost_no_correctness(monkeypatch):
    monkeypatch.setattr(kept_arguments, "_MOST_REMEMBERED", 2)
    arguments = KeptArguments()
    for task in range(40):
        keep(arguments, task, content(task % 4, place=task % 3))
    assert sorted(arguments.release([(task, 0) for task in range(40)]))
    assert len(arguments) == 0


def test_threads_that_submit_one_content_at_the_same_time_share_it():
    arguments = KeptArguments()
    barrier, blobs = threading.Barrier(4), []

    def submit(first):
        barrier.wait()
        blobs.extend(keep(arguments, first + n, content(1)) for n in range(5))

    threads = [threading.Thread(target=submit, args=(10 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(blobs) == 20
    assert len(set(blobs)) == len(arguments) == 1
