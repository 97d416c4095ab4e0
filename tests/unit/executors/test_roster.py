import threading

import pytest

from cnflow.executors.high_throughput.managers import ConnectedManagers
from cnflow.wire.manager_messages import ManagerInfo, StatusReport, TaskQuery, TaskReport

A, B = b"a", b"b"


def info(block, slots=2):
    return ManagerInfo(1, "0.1.0", "3.11", "host", block, "", slots, 1)


@pytest.fixture
def roster():
    """One whose questions are answered at once, after an answer to another question."""

    def ask(question):
        made.answered(StatusReport(question.number + 100, [], b"another", -1))
        if isinstance(question, TaskQuery):
            made.answered(TaskReport(question.number, question.task, 0.0))
        else:
            made.answered(StatusReport(question.number, [], b"", question.task))
        return True

    made = ConnectedManagers(ask)
    return made


def test_workers_are_those_of_the_connected_and_blocks_are_all_that_ever_were(roster):
    roster.joined(A, info("0"))
    roster.joined(B, info("1", slots=3))
    assert (roster.workers, roster.blocks) == (5, ["0", "1"])
    assert roster.left(A) == info("0")
    assert (roster.workers, roster.blocks, list(roster.managers())) == (3, ["0", "1"], [B])


def test_a_question_gets_its_own_answer(roster):
    assert [roster.standing(7).ahead, roster.standing(8).ahead] == [7, 8]
    assert roster.task_on(A, 9).rank == 9


def test_where_nobody_is_to_be_asked_there_is_no_answer():
    assert ConnectedManagers(lambda *_: False).standing() is None


def test_the_end_releases_who_waits_for_an_answer():
    asked = threading.Event()
    roster = ConnectedManagers(lambda *_: not asked.set())
    got = []
    waiting = threading.Thread(target=lambda: got.append(roster.standing()))
    waiting.start()
    assert asked.wait(10)
    roster.close()
    waiting.join(4)  # sooner than it would give up by itself
    assert got == [None]
    assert roster.standing() is None


def test_a_manager_that_leaves_after_the_end_is_still_known(roster):
    roster.joined(A, info("0"))
    roster.close()
    assert roster.managers() == {}
    assert roster.left(A) == info("0")
