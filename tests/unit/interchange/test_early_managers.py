"""Managers that register before their block is admitted."""

from cnflow.interchange.actions import ReportManagerUp, SendDrain, SendRefused, SendStop, SendWork
from cnflow.interchange.recovery import Predecessor, RecoveringInterchange
from cnflow.interchange.state import Interchange
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo
from cnflow.wire.messages import Task

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
A = b"a"
INFO = ManagerInfo(1, "0.1.0", "3.11", "host", "5", "", 2, 1)


def early():
    state = Interchange(1, 10, 30)
    state.on_submitted([FUNCTION], [(Task(0, FUNCTION.id, b""), ())])
    assert state.on_registered(A, INFO, 0) == []
    assert state.on_results(A, 2, [], 0) == []
    assert state.on_heartbeat(A, 5) == []
    assert state.dispatch(5) == []
    return state


def test_manager_registers_when_its_block_is_admitted():
    state = early()
    state.on_admitted("5")
    up, work = state.dispatch(6)
    assert up == ReportManagerUp(A, INFO)
    assert isinstance(work, SendWork)
    assert work.manager == A


def test_manager_that_drains_before_its_block_is_admitted_gets_the_reply_then():
    state = early()
    assert state.on_draining(A, 5) == []
    state.on_admitted("5")
    assert state.dispatch(6) == [ReportManagerUp(A, INFO), SendDrain(A, "5")]


def test_manager_whose_block_is_never_admitted_is_refused_after_the_threshold():
    state = early()
    assert state.on_tick(30) == []
    assert [type(action) for action in state.on_tick(31)] == [SendRefused]
    assert [type(action) for action in state.on_heartbeat(A, 32)] == [SendRefused]


def test_manager_that_waits_is_stopped_with_the_run_and_forgotten_when_it_leaves():
    assert early().on_stop() == [SendStop(A)]
    state = early()
    assert state.on_manager_left(A, "it has enough") == []
    state.on_admitted("5")
    assert state.dispatch(6) == []


def test_manager_of_a_block_that_is_admitted_after_a_restart_waits_too():
    state = RecoveringInterchange(1, 10, 30, Predecessor([], {}, {}), 0)
    state.on_registered(A, INFO, 0)
    state.on_results(A, 2, [], 0)
    state.on_resubmitted([FUNCTION], [(Task(0, FUNCTION.id, b""), ())])
    assert state.dispatch(1) == []
    state.on_admitted("5")
    assert [type(action) for action in state.dispatch(2)] == [ReportManagerUp, SendWork]
