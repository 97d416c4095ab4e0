"""Machines and networks of this user in the clouds of a configuration, and the end of those that nobody needs.

::

    clouds_of(config) ──> each cloud once ──list(owner)──> machines ──┬── driver of the run lives here ──> left alone
    every_cloud() ────> those whose packages are installed            └── gone ──> orphan ──terminate──> ended
                                                                                     │
                                            no run lives: networks are removed, too <┘

Only what carries the tag of this user and machine is looked at. Orphans end by themselves, too; this is for those who
want to see it, or cannot wait.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from cnflow.config import HighThroughputExecutor
from cnflow.config.machines import MachineSettings
from cnflow.config.registry import PROVIDERS, backend_of
from cnflow.errors import CnflowError, ConfigurationError
from cnflow.interfaces import HasCloud
from cnflow.model.machine import MachineState
from cnflow.providers._shared.machines import run_marks
from cnflow.providers._shared.machines.judge import is_left
from cnflow.providers._shared.machines.tags import OWNER, ROLE, ROLE_INTERCHANGE, RUN, network_tags, owner
from cnflow.text import align_columns, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnflow.config import Config, ProviderSettings
    from cnflow.interfaces import Cloud, Provider
    from cnflow.model.machine import Machine

_SECONDS_OF_AN_HOUR = 3600.0
_PAUSE = 2.0
_LONGEST_END = 120.0


class Leftover(NamedTuple):
    """A machine of this user that has not ended, or that the cloud keeps after its end."""

    machine: Machine
    driver: int | None
    """Process id of the run's driver on this machine; None is gone."""

    @property
    def is_orphan(self) -> bool:
        """Nobody needs the machine."""
        return self.driver is None


class Survey(NamedTuple):
    """Machines and networks of this user in one cloud."""

    cloud: str
    found: Sequence[Leftover]
    shared: Sequence[str]
    """Networks and the like."""

    @property
    def orphans(self) -> list[Machine]:
        """Machines that nobody needs."""
        return [each.machine for each in self.found if each.is_orphan]

    @property
    def is_in_use(self) -> bool:
        """A run lives that has machines there, and may need the network."""
        return any(not each.is_orphan for each in self.found)


def cost_so_far(machine: Machine, now: float) -> float | None:
    """Return dollars since the launch of *machine*, disks and traffic apart; None if time or price is not known."""
    price = machine.placement.rate.usd_per_hour
    if price is None or machine.launched_at is None:
        return None
    return price * max(0.0, now - machine.launched_at) / _SECONDS_OF_AN_HOUR


def survey(cloud: Cloud) -> Survey:
    """Return what *cloud* has of this user.

    Raises:
        BlockError: the cloud does not answer.
    """
    listed = cloud.list({OWNER: owner()})
    left = [each for each in listed if is_left(each)]
    runs = {run: run_marks.living_driver(run) for run in {each.tags.get(RUN, "") for each in left} if run}
    found = [Leftover(each, runs.get(each.tags.get(RUN, ""))) for each in left]
    return Survey(cloud.name, found, cloud.shared(network_tags()))


def table(seen: Survey, now: float) -> str:
    """Return a table with a row for each machine, and a line for what machines share; a sentence if there is none."""
    if not seen.found and not seen.shared:
        return f"{seen.cloud}: nothing of yours."
    head = ("machine", "type", "use", "state", "runs since", "cost so far", "run", "driver")
    ordered = sorted(seen.found, key=lambda each: (each.machine.tags.get(RUN, ""), each.machine.launched_at or 0.0))
    lines = [f"{seen.cloud}:"]
    if ordered:
        lines.append(align_columns([head, *(_row(each, now) for each in ordered)], right=(5,)))
    if seen.shared:
        lines.append(f"shared by machines: {', '.join(seen.shared)}")
    return "\n".join(lines)


def _row(each: Leftover, now: float) -> tuple[str, ...]:
    machine = each.machine
    age = "-" if machine.launched_at is None else duration(max(0.0, now - machine.launched_at))
    cost = cost_so_far(machine, now)
    return (
        machine.id,
        str(machine.placement) or "-",
        "interchange" if machine.tags.get(ROLE) == ROLE_INTERCHANGE else "workers",
        machine.state.value,
        age,
        "-" if cost is None else f"${cost:.2f}",
        machine.tags.get(RUN, "-"),
        "gone" if each.is_orphan else f"process {each.driver}",
    )


def end_orphans(cloud: Cloud, seen: Survey) -> Mapping[str, str]:
    """End the orphans of *seen*, and wait for that; return those that were refused or still run, with the reason.

    Raises:
        BlockError: the cloud does not answer.
    """
    chosen = {machine.id for machine in seen.orphans}
    left = dict(cloud.terminate(sorted(chosen))) if chosen else {}
    waiting, deadline = chosen - left.keys(), time.monotonic() + _LONGEST_END
    while waiting:
        listed = cloud.list({OWNER: owner()})
        waiting &= {each.id for each in listed if each.state is not MachineState.ENDED or each.is_kept}
        if waiting and time.monotonic() > deadline:
            return {**left, **dict.fromkeys(waiting, f"still listed {_LONGEST_END:.0f} s after its end was asked for")}
        if waiting:
            time.sleep(_PAUSE)
    if not left:
        for run in {machine.tags.get(RUN, "") for machine in seen.orphans} - {""}:
            run_marks.forget(run)
    return left


def remove_shared(cloud: Cloud, seen: Survey) -> list[str]:
    """Remove networks and the like, unless a run lives that may need them; return their names.

    Raises:
        BlockError: the cloud does not answer.
    """
    if not seen.shared or seen.is_in_use or run_marks.others_live(()):
        return []
    return list(cloud.remove_shared(network_tags()))


@contextmanager
def cloud_of(settings: MachineSettings) -> Iterator[Cloud]:
    """Have the cloud of *settings*.

    Raises:
        ConfigurationError: the packages of its SDK are not installed.
    """
    backend: Provider = backend_of(settings)(settings)
    try:
        if not isinstance(backend, HasCloud):
            raise ConfigurationError(f"The provider {settings.kind!r} does not show its cloud: it has no `cloud`.")
        yield backend.cloud
    finally:
        backend.close()


def clouds_of(config: Config) -> list[MachineSettings]:
    """Return the settings of the clouds of *config*, each once.

    Raises:
        ConfigurationError: it has none.
    """
    executors = (each for each in config.executors if isinstance(each, HighThroughputExecutor))
    found = [each for executor in executors for each in _parts_of(executor.provider)]
    clouds = [each for each in found if isinstance(each, MachineSettings)]
    if not clouds:
        raise ConfigurationError(
            "No provider of this configuration starts machines of a cloud. Leave out --config to look at each cloud "
            "whose package is installed, in its default region."
        )
    return [each for number, each in enumerate(clouds) if each not in clouds[:number]]


def every_cloud() -> tuple[list[MachineSettings], dict[str, str]]:
    """Return settings of each cloud that needs none of the user, and kinds that were passed over, with the reason."""
    found: list[MachineSettings] = []
    passed: dict[str, str] = {}
    for kind in PROVIDERS.kinds():
        cls = PROVIDERS.find(kind)
        if not issubclass(cls, MachineSettings):
            continue
        try:
            settings = cls.model_validate({})
            backend_of(settings)
        except ValidationError as error:
            names = ", ".join(str(each["loc"][0]) for each in error.errors() if each["loc"])
            passed[kind] = f"it needs {names or 'options'}; name a configuration that has them by --config FILE"
        except CnflowError as error:
            passed[kind] = str(error)
        else:
            found.append(settings)
    return found, passed


def _parts_of(settings: ProviderSettings) -> Sequence[ProviderSettings]:
    """Return the providers of one that stands for several; else itself."""
    return getattr(settings, "providers", None) or [settings]
