"""Faults of machines of a cloud, and of its interface; see `faults`."""

import random
from collections.abc import Callable

from faults import Fault, Strike
from machines import Machines
from world import World

FEWEST = 2
"""Machines that a strike at one of them needs."""


def _at_random_machine(strike: Callable[[World, Machines, dict], None]) -> Strike:
    """Return a strike at the machine of a block chosen at random; a last one is spared, since others take a while."""

    def draw(world: World, chance: random.Random) -> "list[int] | None":
        running = world.machines.running() if world.machines else []
        if len(running) < FEWEST:
            return None
        machine = chance.choice(running)
        tasks = world.tasks_at(host=machine["id"])
        strike(world, world.machines, machine)
        return tasks

    return draw


def _interrupt(_: World, machines: Machines, machine: dict) -> None:
    machines.ec2.control("interrupt", id=machine["id"], after=4)


def _at_the_cloud(strike: Callable[[World, Machines], None]) -> Strike:
    """Return a strike at what all machines have in common."""

    def draw(world: World, _: random.Random) -> "list[int] | None":
        if not world.machines:
            return None
        tasks = [task for one in world.machines.running() for task in world.tasks_at(host=one["id"])]
        strike(world, world.machines)
        return tasks

    return draw


def _fill_zone(world: World, machines: Machines) -> None:
    zones = {one["zone"] for one in machines.running()}
    for zone in sorted(zones)[:1]:
        machines.ec2.limit(0, zone=zone)
        world.schedule(3 * world.threshold, machines.ec2.clear)


def _throttle(_: World, machines: Machines) -> None:
    machines.ec2.fault("*", code="RequestLimitExceeded", status=503, times=12)


def _silence(_: World, machines: Machines) -> None:
    machines.ec2.fault("*", drop=True, times=6)


def _lose_reply(_: World, machines: Machines) -> None:
    machines.ec2.fault("RunInstances", after=True)


MACHINE_FAULTS = [
    Fault("a machine is terminated by hand", _at_random_machine(lambda _, machines, one: machines.terminate(one)), 1),
    Fault("a machine loses its power", _at_random_machine(lambda _, machines, one: machines.cut_power(one)), 1),
    Fault("a spot machine is taken back, after a notice", _at_random_machine(_interrupt), 1),
    Fault("a zone has no capacity for a while", _at_the_cloud(_fill_zone), 1),
    Fault("the cloud throttles a dozen calls", _at_the_cloud(_throttle), 1),
    Fault("the cloud's interface drops connections", _at_the_cloud(_silence), 1),
    Fault("the reply to a launch is lost", _at_the_cloud(_lose_reply), 1),
]
