"""Several containers that start at a time."""

import threading
from types import SimpleNamespace

import pytest

from cnflow.providers._shared.side_by_side import side_by_side


def requests(*blocks):
    return [SimpleNamespace(block=block) for block in blocks]


def test_each_request_gets_its_own_answer():
    answers = side_by_side(lambda request: f"native-{request.block}", requests(*map(str, range(11))))
    assert answers == {str(n): f"native-{n}" for n in range(11)}
    assert side_by_side(lambda _: "", []) == {}


def test_a_few_start_at_the_same_time():
    meeting = threading.Barrier(3, timeout=10)
    assert len(side_by_side(lambda _: str(meeting.wait()), requests("a", "b", "c"))) == 3


def test_an_error_is_raised_once_all_calls_have_ended():
    ended = []

    def submit(request):
        if request.block == "1":
            raise ValueError("an engine of a new kind")
        ended.append(request.block)
        return request.block

    with pytest.raises(ValueError, match="a new kind"):
        side_by_side(submit, requests("0", "1", "2", "3"))
    assert sorted(ended) == ["0", "2", "3"]
