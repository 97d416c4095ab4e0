"""Orders of events at an interchange with several clients, with real processes: cancels, keys and drains that cross."""

import time

from cnflow.wire import messages as msg
from cnflow.wire.pipe import ResultKind
from tests.integration.pool import PlayedManager, wait_for
from tests.integration.test_pool import driver_of, make_pool, manager, pool, wait_for_ends

__all__ = ["make_pool", "manager", "pool"]  # fixtures


def test_client_that_goes_away_while_its_cancel_is_under_way_gets_the_end_of_it_later(pool, manager):
    ann, key = driver_of(pool, "ann")
    ann.submit(4)
    wait_for(lambda: len(manager.read()) == 4)
    ann.send(msg.Cancel({0: 0}))
    wait_for(lambda: (manager.read(), manager.cancelled)[1])
    ann.kill()
    (number,) = manager.cancelled
    manager.done([manager.tasks[number]], ResultKind.CANCELLED)
    manager.end_all()
    ann.session.session.on_disconnected()
    assert ann.reconnect(pool, key) == "attached"
    ann.wait_for_results(4)
    assert ann.results[0].kind == ResultKind.CANCELLED
    assert not ann.more


def test_key_that_is_withdrawn_while_results_wait_ends_its_session_alone(pool, manager):
    ann, key = driver_of(pool, "ann")
    bob, _ = driver_of(pool, "bob")
    ann.submit(4)
    wait_for(lambda: len(manager.read()) == 4)
    ann.kill()
    manager.end_all()
    (pool.keys / "ann.key").unlink()
    wait_for(lambda: "its key was withdrawn" in pool.log.read_text())
    bob.submit(5)
    wait_for_ends(manager, (bob, 5))
    ann.session.session.on_disconnected()
    assert ann.reconnect(pool, key) == "gone"


def test_manager_that_registers_while_its_block_drains_gets_no_task(pool, manager):
    ann, _ = driver_of(pool, "ann")
    ann.submit(2)
    wait_for(lambda: len(manager.read()) == 2)
    pool.owner.send(msg.Drain("0"))
    late = PlayedManager(pool, b"manager-2")
    ann.submit(3)
    time.sleep(1)
    late.read()
    manager.read()
    assert not late.tasks
    assert len(manager.tasks) == 2
    late.close()


def test_workers_of_a_client_that_leaves_while_its_cancels_are_out_go_to_another(pool, manager):
    ann, _ = driver_of(pool, "ann")
    bob, _ = driver_of(pool, "bob")
    ann.submit(4)
    wait_for(lambda: len(manager.read()) == 4)
    ann.send(msg.Cancel({0: 0, 1: 0}))
    ann.send(msg.Stop())
    wait_for(lambda: (manager.read(), len(manager.cancelled) == 4)[1])
    manager.done(list(manager.tasks.values()), ResultKind.CANCELLED)
    bob.submit(6)
    wait_for_ends(manager, (bob, 6))
