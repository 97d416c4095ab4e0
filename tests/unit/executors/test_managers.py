import threading

import pytest

from cnflow.executors.high_throughput.managers import ConnectedManagers
from cnflow.wire.manager_messages import ManagerInfo, StatusReport, TaskQuery, TaskReport

A, B = b"a", b"b"


def info(block, slots=2):
    return ManagerInfo(1, "0.1.0", "3.11", "host", block, "", slots, 1)


@pytest.fixture
def managers():
    """Managers whose questions are answered at once, after an answer to another question."""

    def ask(question):
        made.on_answer(StatusReport(question.number + 100, [], b"another", -1))
        if isinstance(question, TaskQuery):
            made.on_answer(TaskReport(question.number, question.task, 0.0))
        else:
            made.on_answer(StatusReport(question.number, [], b"", question.task))
        return True

    made = ConnectedManagers(ask)
    return made


def test_workers_are_those_of_connected_managers_and_blocks_are_all_that_ever_connected(managers):
    managers.on_connected(A, info("0"))
    managers.on_connected(B, info("1", slots=3))
    assert (managers.workers, managers.blocks) == (5, ["0", "1"])
    assert managers.on_lost(A) == info("0")
    assert (managers.workers, managers.blocks, list(managers.managers())) == (3, ["0", "1"], [B])


def test_manager_that_comes_back_to_a_restarted_interchange_is_not_new(managers):
    assert managers.on_connected(A, info("0"))
    assert not managers.on_connected(A, info("0"))


def test_lost_managers_are_remembered_until_their_block_is_over(managers):
    managers.on_block_admitted("0", "key")
    managers.on_connected(A, info("0"))
    managers.on_connected(B, info("0"))
    managers.on_lost(A)
    assert (managers.admitted(), managers.departed()) == ({"0": "key"}, {A: "0"})
    managers.on_block_gone("0")
    managers.on_lost(B)
    assert (managers.admitted(), managers.departed()) == ({}, {})


def test_question_gets_its_own_answer(managers):
    assert [managers.report(7).ahead, managers.report(8).ahead] == [7, 8]
    assert managers.task_on(A, 9).rank == 9


def test_question_without_an_interchange_has_no_answer():
    assert ConnectedManagers(lambda *_: False).report() is None


def test_closing_releases_a_thread_that_waits_for_an_answer():
    asked = threading.Event()
    managers = ConnectedManagers(lambda *_: not asked.set())
    got = []
    waiting = threading.Thread(target=lambda: got.append(managers.report()))
    waiting.start()
    assert asked.wait(10)
    managers.close()
    waiting.join(4)  # sooner than its time-out
    assert got == [None]
    assert managers.report() is None


def test_manager_that_is_lost_after_closing_is_still_described(managers):
    managers.on_connected(A, info("0"))
    managers.close()
    assert managers.managers() == {}
    assert managers.on_lost(A) == info("0")
