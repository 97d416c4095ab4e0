"""Faults of networks, of the interchange standing still, of clocks and of limits; see `faults`."""

import random
import resource
import signal
from collections.abc import Callable
from pathlib import Path

from faults import Fault, Strike
from world import World, children, send

from tests.clock_shift import write_shift
from tests.namespaces import Node

SLOW = 200_000
"""Bytes per second of a slow line."""


def _at_random_node(strike: Callable[[World, Node], None]) -> Strike:
    """Return a strike at the network of a node chosen at random."""

    def draw(world: World, chance: random.Random) -> "list[int] | None":
        if not world.nodes:
            return None
        node = chance.choice(world.nodes)
        tasks = world.tasks_on(node)
        strike(world, node)
        return tasks

    return draw


def _reset_twice(world: World, node: Node) -> None:
    """Reset the connections, and those that were made instead, which may arrive before the end of the first ones."""
    node.reset()
    world.schedule(0.15, node.reset)


def _cut(share: float) -> Callable[[World, Node], None]:
    """Return a strike that cuts the line for *share* of the threshold."""

    def strike(world: World, node: Node) -> None:
        node.cut()
        world.schedule(world.threshold * share, node.reconnect)

    return strike


def _slow_down(world: World, node: Node) -> None:
    node.limit_rate(SLOW)
    world.schedule(world.threshold, lambda: node.limit_rate(None))


def _of_the_interchange(strike: Callable[[World, int], None]) -> Strike:
    """Return a strike at an interchange chosen at random."""

    def draw(world: World, chance: random.Random) -> "list[int] | None":
        interchanges = world.interchanges()
        if not interchanges:
            return None
        tasks = world.tasks_at(host="")
        strike(world, chance.choice(interchanges))
        return tasks

    return draw


def _suspend(share: float) -> Callable[[World, int], None]:
    def strike(world: World, interchange: int) -> None:
        if send(interchange, signal.SIGSTOP):
            world.schedule(world.threshold * share, lambda: send(interchange, signal.SIGCONT))

    return strike


def _kill_thrice(world: World, interchange: int) -> None:
    """Kill an interchange, and its successors as soon as they are there."""
    send(interchange, signal.SIGKILL)
    for seconds in (0.5, 1.2):
        world.schedule(seconds, lambda: [send(pid, signal.SIGKILL) for pid in world.interchanges()[-1:]])


def _limit_files_of_interchange(world: World, interchange: int) -> None:
    """Leave no descriptor for a new connection."""
    _limit_files(world, interchange, len(list(Path(f"/proc/{interchange}/fd").iterdir())))


def _limit_files(world: World, pid: int, files: int) -> None:
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, before[1]))

    def restore() -> None:
        if pid in children(world.pid):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    world.schedule(world.threshold, restore)


def _limit_files_of_manager(world: World, chance: random.Random) -> "list[int] | None":
    """Leave a manager no descriptor for another worker, and kill one that it has."""
    managers = world.managers()
    if not managers:
        return None
    manager = chance.choice(managers)
    workers, tasks = world.workers(manager), world.tasks_at(manager=manager)
    _limit_files(world, manager, 8)
    for worker in workers[:1]:
        send(worker, signal.SIGKILL)
    return tasks


def _shift_clock(side: str) -> Strike:
    def strike(world: World, chance: random.Random) -> "list[int] | None":
        if side not in world.clocks:
            return None
        write_shift(world.clocks[side], chance.choice([-7200, -60, 60, 7200]))
        return world.tasks_at(host="")

    return strike


NETWORK_FAULTS = [
    Fault("a connection is reset at both ends", _at_random_node(lambda _, node: node.reset()), 3),
    Fault("a connection is reset at the manager's end alone", _at_random_node(lambda _, node: node.reset(both=False))),
    Fault("connections are reset again as they are made anew", _at_random_node(_reset_twice)),
    Fault("a NAT forgets a connection, neither end hears of it", _at_random_node(lambda _, node: node.forget()), 1),
    Fault("a network is cut for a moment", _at_random_node(_cut(0.4))),
    Fault("a network is cut for longer than the threshold", _at_random_node(_cut(1.7)), 1),
    Fault("a line becomes slow (200 kB/s)", _at_random_node(_slow_down)),
    Fault("the address of the interchange changes", _at_random_node(lambda _, node: node.change_address()), 1),
    Fault("the interchange is suspended for a moment", _of_the_interchange(_suspend(0.3)), 1),
    Fault(
        "the interchange is suspended for longer than the threshold",
        _of_the_interchange(_suspend(2.5)),
        1,
        restarts=1,
    ),
    Fault("the interchange is killed three times in a row", _of_the_interchange(_kill_thrice), 1, restarts=3),
    Fault("the interchange can open no more files", _of_the_interchange(_limit_files_of_interchange), 1),
    Fault("a manager can open no more files, and a worker is killed", _limit_files_of_manager, 1),
    Fault("the driver's clock jumps", _shift_clock("driver"), 1),
    Fault("the nodes' clocks jump", _shift_clock("node"), 1),
]
