"""Faults of a soak. Each strikes at the `World` and returns the tasks that ran there, or None if it found no target."""

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
    """Relative frequency."""

    in_containers: bool = False
    restarts: int = 0
    """Restarts of an interchange that a strike causes; the run allows five in a minute."""


def _signal_worker(number: signal.Signals) -> Callable[[World, random.Random], "list[int] | None"]:
    def strike(world: World, chance: random.Random) -> "list[int] | None":
        workers = [pid for manager in world.managers() for pid in world.workers(manager)]
        if not workers:
            return None
        worker = chance.choice(workers)
        tasks = world.tasks_at(worker=worker)
        return tasks if send(worker, number) else None

    return strike


Strike = Callable[[World, random.Random], "list[int] | None"]


def _at_random_manager(strike: Callable[[World, int], "list[int] | None"]) -> Strike:
    """Return a strike at a manager chosen at random."""

    def draw(world: World, chance: random.Random) -> "list[int] | None":
        managers = world.managers()
        return strike(world, chance.choice(managers)) if managers else None

    return draw


def _kill_manager(world: World, manager: int) -> "list[int] | None":
    tasks = world.tasks_at(manager=manager)
    return tasks if send(manager, signal.SIGKILL) else None


def _kill_block(world: World, manager: int) -> "list[int] | None":
    tasks, workers = world.tasks_at(manager=manager), world.workers(manager)
    if not send(manager, signal.SIGKILL):
        return None
    for worker in workers:
        send(worker, signal.SIGKILL)
    return tasks


def _suspend_past_threshold(world: World, manager: int) -> "list[int] | None":
    if not send(manager, signal.SIGSTOP):
        return None
    world.suspended.add(manager)
    world.schedule(world.threshold * 1.7, lambda: send(manager, signal.SIGCONT))
    return world.tasks_at(manager=manager)


def _suspend_briefly(world: World, manager: int) -> "list[int] | None":
    if not send(manager, signal.SIGSTOP):
        return None
    world.schedule(world.threshold * 0.3, lambda: send(manager, signal.SIGCONT))
    return world.tasks_at(manager=manager)


def _signal_interchange(number: signal.Signals) -> Strike:
    def strike(world: World, chance: random.Random) -> "list[int] | None":
        interchanges = world.interchanges()
        if not interchanges:
            return None
        tasks = world.tasks_at(host="")
        return tasks if send(chance.choice(interchanges), number) else None

    return strike


def _in_container(*commands: str) -> Callable[[World, random.Random], "list[int] | None"]:
    """Run ``docker COMMAND`` on a random container, and the second command after more than the threshold."""

    def strike(world: World, chance: random.Random) -> "list[int] | None":
        containers = world.containers()
        if not containers:
            return None
        container = chance.choice(containers)
        tasks = world.tasks_at(host=container)
        if not _docker(commands[0], container):
            return None
        if commands[1:]:
            world.schedule(world.threshold * 1.7, lambda: _docker(commands[1], container))
        return tasks

    return strike


def _docker(command: str, container: str) -> bool:
    return not subprocess.run(["docker", command, container], capture_output=True, check=False).returncode


FAULTS = [
    Fault("a worker is killed (signal 9)", _signal_worker(signal.SIGKILL), 4),
    Fault("a worker crashes (signal 11)", _signal_worker(signal.SIGSEGV), 3),
    Fault("a manager is killed (signal 9)", _at_random_manager(_kill_manager)),
    Fault("a block is killed, manager and workers", _at_random_manager(_kill_block)),
    Fault(
        "a manager is suspended for longer than the threshold, then continued",
        _at_random_manager(_suspend_past_threshold),
        1,
    ),
    Fault("a manager is suspended for a moment", _at_random_manager(_suspend_briefly)),
    Fault("a container is killed (`docker kill`)", _in_container("kill"), 2, in_containers=True),
    Fault(
        "a container is paused for longer than the threshold, then continued",
        _in_container("pause", "unpause"),
        1,
        in_containers=True,
    ),
    Fault("the interchange is killed (signal 9)", _signal_interchange(signal.SIGKILL), restarts=1),
    Fault("the interchange is suspended for good", _signal_interchange(signal.SIGSTOP), 1, restarts=1),
]
