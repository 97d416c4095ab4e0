"""The faults of a soak. Each is told the world and returns the tasks that it hit; None where nothing was there."""

import random
import signal
import subprocess
from collections.abc import Callable
from typing import NamedTuple

from world import World, send


class Fault(NamedTuple):
    name: str
    strike: Callable[[World, random.Random], "list[int] | None"]
    weight: int = 2
    """How often it is drawn, against the others."""

    in_containers: bool = False
    apart: float = 0.0
    """Seconds, at least, between two of it."""


def _signal_worker(number: signal.Signals) -> Callable[[World, random.Random], "list[int] | None"]:
    def strike(world: World, chance: random.Random) -> "list[int] | None":
        workers = [pid for manager in world.managers() for pid in world.workers(manager)]
        if not workers:
            return None
        worker = chance.choice(workers)
        hit = world.hit(worker=worker)
        return hit if send(worker, number) else None

    return strike


Strike = Callable[[World, random.Random], "list[int] | None"]


def _on_a_manager(strike: Callable[[World, int], "list[int] | None"]) -> Strike:
    """*strike* at one that is drawn."""

    def draw(world: World, chance: random.Random) -> "list[int] | None":
        managers = world.managers()
        return strike(world, chance.choice(managers)) if managers else None

    return draw


def _kill_manager(world: World, manager: int) -> "list[int] | None":
    hit = world.hit(manager=manager)
    return hit if send(manager, signal.SIGKILL) else None


def _kill_block(world: World, manager: int) -> "list[int] | None":
    hit, workers = world.hit(manager=manager), world.workers(manager)
    if not send(manager, signal.SIGKILL):
        return None
    for worker in workers:
        send(worker, signal.SIGKILL)
    return hit


def _stop_manager(world: World, manager: int) -> "list[int] | None":
    if not send(manager, signal.SIGSTOP):
        return None
    world.stopped.add(manager)
    world.later(world.threshold * 1.7, lambda: send(manager, signal.SIGCONT))
    return world.hit(manager=manager)


def _pause_manager(world: World, manager: int) -> "list[int] | None":
    if not send(manager, signal.SIGSTOP):
        return None
    world.later(world.threshold * 0.3, lambda: send(manager, signal.SIGCONT))
    return world.hit(manager=manager)


def _kill_interchange(world: World, chance: random.Random) -> "list[int] | None":
    interchanges = world.interchanges()
    if not interchanges:
        return None
    hit = world.hit(host="")
    return hit if send(chance.choice(interchanges), signal.SIGKILL) else None


def _in_container(*commands: str) -> Callable[[World, random.Random], "list[int] | None"]:
    """``docker COMMAND`` for one of them now, and the next command once it was silent for too long."""

    def strike(world: World, chance: random.Random) -> "list[int] | None":
        containers = world.containers()
        if not containers:
            return None
        container = chance.choice(containers)
        hit = world.hit(host=container)
        if not _docker(commands[0], container):
            return None
        if commands[1:]:
            world.later(world.threshold * 1.7, lambda: _docker(commands[1], container))
        return hit

    return strike


def _docker(command: str, container: str) -> bool:
    return not subprocess.run(["docker", command, container], capture_output=True, check=False).returncode


FAULTS = [
    Fault("a worker is killed (signal 9)", _signal_worker(signal.SIGKILL), 4),
    Fault("a worker crashes (signal 11)", _signal_worker(signal.SIGSEGV), 3),
    Fault("a manager is killed (signal 9)", _on_a_manager(_kill_manager)),
    Fault("a block is killed, manager and workers", _on_a_manager(_kill_block)),
    Fault("a manager stands still for longer than the threshold, then goes on", _on_a_manager(_stop_manager), 1),
    Fault("a manager stands still for a moment", _on_a_manager(_pause_manager)),
    Fault("a container is killed (`docker kill`)", _in_container("kill"), 2, in_containers=True),
    Fault(
        "a container is paused for longer than the threshold, then goes on",
        _in_container("pause", "unpause"),
        1,
        in_containers=True,
    ),
    Fault("the interchange is killed (signal 9)", _kill_interchange, apart=15),
]
