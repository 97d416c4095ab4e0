"""Large results stay with their manager until the driver has them, and do not keep it from its end or its work."""

import math

import pytest

from cnflow.manager import kept_results
from cnflow.manager.kept_results import KeptResults
from cnflow.wire.bulk import Chunk, Gone, Want
from cnflow.wire.messages import Result
from cnflow.wire.pipe import ResultKind

CONTENT = bytes(range(256)) * 2**13
ME = b"manager"


@pytest.fixture
def results():
    made = KeptResults(ME, 10.0)
    made.offer((Result(7, ResultKind.VALUE, b"", frames=2), (b"head", CONTENT)), 100.0)
    return made


def want(results, now):
    (blob,) = results.blobs()
    return results.on_want(Want(blob, ME, 0, 5), now)


def test_result_that_is_in_nobodys_way_stays_for_ever(results):
    assert results.next_deadline == math.inf
    assert results.take_unwanted(10**9) == []
    assert want(results, 10**9)[1] == CONTENT[:5]


def test_result_that_nobody_wants_is_dropped_if_its_manager_has_nothing_else_to_do(results):
    results.is_last = True
    assert results.next_deadline == 110.0
    assert results.take_unwanted(109.0) == []
    (blob,) = results.blobs()
    assert results.take_unwanted(110.0) == [blob]
    assert (len(results), results.kept_bytes, results.next_deadline) == (0, 0, math.inf)
    assert isinstance(results.on_want(Want(blob, ME, 0, 5), 111.0)[0], Gone)


def test_result_that_is_fetched_slowly_is_kept(results):
    results.is_last = True
    for now in (109.0, 118.0, 127.0):
        assert isinstance(want(results, now)[0], Chunk)
        assert results.take_unwanted(now + 9.0) == []


def test_results_that_nobody_wants_do_not_keep_a_full_manager_from_its_work(results, monkeypatch):
    monkeypatch.setattr(kept_results, "MOST_KEPT", len(CONTENT))
    assert results.is_full
    assert len(results.take_unwanted(110.0)) == 1
    assert not results.is_full
