import math

from cnflow.manager.actions import Quit, StartWorker
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import Manager


def manager(slots):
    state = Manager(slots, Prefetch(None), "3.11", "host h, block 0")
    state.on_start()
    return state


def test_worker_that_cannot_be_started_is_tried_again_after_longer_and_longer_pauses():
    state, now, pauses = manager(2), 0.0, []
    state.on_worker_ready(1)
    for _ in range(7):
        assert state.on_start_failed(0, "no processes left", now) == []
        pauses.append(state.next_deadline - now)
        now = state.next_deadline
        assert state.on_tick(now) == [StartWorker(0)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_manager_runs_tasks_on_the_workers_that_could_be_started():
    state = manager(3)
    state.on_worker_ready(1)
    for _ in range(20):
        assert state.on_start_failed(0, "no processes left", 0.0) == []
        assert state.on_start_failed(2, "no processes left", 0.0) == []
    assert state.window == 1


def test_manager_ends_with_the_cause_when_no_worker_can_be_started():
    state = manager(2)
    ends = [action for _ in range(5) for rank in (0, 1) for action in state.on_start_failed(rank, "no processes", 0.0)]
    assert [type(end) for end in ends] == [Quit]
    assert "no worker can be started: no processes" in ends[0].reason


def test_worker_is_not_started_again_while_the_manager_ends():
    state = manager(1)
    state.on_start_failed(0, "no processes left", 0.0)
    state.on_ending()
    assert state.on_tick(1.0) == []
    assert state.next_deadline == math.inf


def test_workers_that_die_idle_again_and_again_end_the_manager():
    state = manager(2)
    for death in range(9):
        rank = death % 2
        state.on_worker_ready(rank)
        assert state.on_worker_exit(rank, 1, "") == [StartWorker(rank)]
    state.on_worker_ready(0)
    (quit_action,) = state.on_worker_exit(0, 1, "the last of them")
    assert isinstance(quit_action, Quit)
    assert "the last of them" in quit_action.reason


def test_result_shows_that_the_node_is_of_use():
    state = manager(1)
    for _ in range(30):
        state.on_worker_ready(0)
        state.on_results(0, [], 0.0)
        assert state.on_worker_exit(0, 1, "") == [StartWorker(0)]
