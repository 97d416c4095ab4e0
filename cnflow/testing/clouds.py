"""A cloud in memory: behaves like a real one; its machines run only if a player is given (`cnflow.testing.machines`).

::

    FakeRegion                        machines, tags, capacity and faults, shared by all drivers of a test
      ├── FakeCloud(settings, region)    the cloud of one driver
      └── FakeCloud(settings, region)    that of the driver after a crash

    a test decides:  region.capacity[("m1", "a", False)] = 0     NoCapacityError there
                     region.quota = 2                            QuotaError beyond two machines
                     region.fail("launch", error, times=3)       a call raises, and has no effect
                     region.fail("launch", error, after=True)    its effect is there, and the answer is lost
                     region.lists_after, starts_after            a machine is listed, and runs, so many seconds later
                     region.preempt(id), region.end(id)          the cloud, or somebody, ends a machine
                     region.before_call = function(name)         called before and after the effect of each call
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from cnflow.clock import SystemClock
from cnflow.config.machines import MachineSettings
from cnflow.errors import BlockError, BlockRejectedError, NoCapacityError, ProviderBusyError, QuotaError
from cnflow.model.block import EndCause
from cnflow.model.finding import Finding, Verdict
from cnflow.model.machine import Machine, MachineRequest, MachineState, Placement, Rate
from cnflow.providers._shared.machines.backend import MachineBackend
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from cnflow.clock import Clock
    from cnflow.model.traits import Traits
    from cnflow.providers._shared.machines.sites import MakeBootSite
    from cnflow.testing.machines import PlayedMachine, Player

PLACEMENTS = (
    Placement("m1", "a", rate=Rate(0.10, 2.0)),
    Placement("m1", "b", rate=Rate(0.10, 2.0)),
    Placement("m2", "a", rate=Rate(0.20, 4.0)),
)
"""Of a `FakeRegion` unless a test names others."""


@dataclass
class FakeMachine:
    """A machine of a `FakeRegion`."""

    request: MachineRequest
    machine: Machine
    launched_at: float
    played: PlayedMachine | None = None
    printed: bytes = b""
    """Console of a machine that nobody plays."""


@dataclass
class _Fault:
    call: str
    error: BaseException
    times: int
    is_after: bool


@dataclass
class FakeRegion:
    """Machines of one region; see the module. Safe from any thread."""

    placements: Sequence[Placement] = PLACEMENTS
    player: Player | None = None
    clock: Clock = field(default_factory=SystemClock)
    capacity: dict[tuple[str, str, bool], int] = field(default_factory=dict)
    quota: int | None = None
    lists_after: float = 0.0
    starts_after: float = 0.0
    address: str = "127.0.0.1"
    """Of all machines."""

    keeps_ended: bool = False
    """Machines that end by themselves are kept until they are terminated."""

    before_call: Callable[[str], None] = field(default=lambda _name: None)
    machines: dict[str, FakeMachine] = field(default_factory=dict)
    networks: dict[str, Mapping[str, str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self._faults: list[_Fault] = []
        self._numbers = itertools.count(1)

    def fail(self, call: str, error: BaseException, *, times: int = 1, after: bool = False) -> None:
        """Let the next *times* calls of that name raise *error*: before they have an effect, or *after* it."""
        self._faults.append(_Fault(call, error, times, after))

    def mend(self) -> None:
        """Let no call fail any more."""
        self._faults.clear()

    def on_call(self, call: str, *, is_after: bool = False) -> None:
        """Record a call, and raise what the test wants of it."""
        if not is_after:
            self.calls.append(call)
        self.before_call(f"{call}{' has worked' if is_after else ''}")
        for fault in self._faults:
            if fault.call == call and fault.is_after is is_after and fault.times > 0:
                fault.times -= 1
                raise fault.error

    def living(self) -> dict[str, Machine]:
        """Return the machines that have not ended, or are kept, by id."""
        with self.lock:
            known = {name: self.look(name) for name in self.machines}
        return {name: each for name, each in known.items() if each.state is not MachineState.ENDED or each.is_kept}

    def preempt(self, machine: str) -> None:
        """Take a spot machine back."""
        self.end(machine, "the capacity is needed by others", EndCause.PREEMPTED)

    def end(
        self,
        machine: str,
        reason: str = "ended by hand",
        cause: EndCause | None = None,
        *,
        is_terminated: bool = False,
    ) -> None:
        """End a machine from outside."""
        with self.lock:
            known = self.machines[machine]
            if known.machine.state is not MachineState.ENDED:
                known.machine = replace(known.machine, state=MachineState.ENDED, reason=reason, cause=cause)
            known.machine = replace(known.machine, is_kept=self.keeps_ended and not is_terminated)
        if known.played is not None:
            known.played.end()

    def add(self, request: MachineRequest) -> Machine:
        """Start a machine; a request with the token of another one returns that.

        Raises:
            NoCapacityError, QuotaError, BlockRejectedError: nothing was started.
        """
        with self.lock:
            for name, known in self.machines.items():
                if known.request.token == request.token:
                    if known.request != request:
                        raise BlockRejectedError(f"token {request.token} was used for another request")
                    return self.look(name)
            self._refuse(request)
            name = f"vm-{next(self._numbers)}"
            made = Machine(
                name,
                MachineState.PENDING,
                dict(request.tags),
                request.placement,
                public_address=self.address,
                private_address=self.address,
                launched_at=time.time(),
            )
            known = self.machines[name] = FakeMachine(request, made, self.clock.now())
        if self.player is not None:
            known.played = self.player.start(name, request.user_data)
            address = known.played.address
            with self.lock:
                known.machine = replace(known.machine, public_address=address, private_address=address)
        return known.machine

    def look(self, name: str) -> Machine:
        """Return a machine in its present state."""
        with self.lock:
            known = self.machines[name]
            state = known.machine.state
            if state is MachineState.PENDING and self.clock.now() >= known.launched_at + self.starts_after:
                known.machine = replace(known.machine, state=MachineState.RUNNING)
            if state is not MachineState.ENDED and known.played is not None and not known.played.is_alive():
                known.machine = replace(
                    known.machine, state=MachineState.ENDED, reason="shut down from inside", is_kept=self.keeps_ended
                )
            return known.machine

    def listed(self, tags: Mapping[str, str]) -> list[Machine]:
        """Return the machines with all of *tags* that the region lists now."""
        latest = self.clock.now() - self.lists_after
        with self.lock:
            known = [self.look(name) for name, each in self.machines.items() if each.launched_at <= latest]
        return [each for each in known if tags.items() <= each.tags.items()]

    def close(self) -> None:
        """End all machines, at the end of a test."""
        for name in list(self.machines):
            self.end(name, is_terminated=True)

    def _refuse(self, request: MachineRequest) -> None:
        placement = request.placement
        living = list(self.living().values())
        if self.quota is not None and len(living) >= self.quota:
            raise QuotaError(f"a limit of {self.quota} machines is reached")
        room = self.capacity.get(placement[:3])
        if room is not None and sum(each.placement[:3] == placement[:3] for each in living) >= room:
            raise NoCapacityError(f"there is no {placement} left")


class FakeCloud:
    """Satisfies `cnflow.interfaces.Cloud`.

    Args:
        settings: of the provider.
        region: that has the machines.
    """

    def __init__(self, settings: MachineSettings, region: FakeRegion) -> None:
        self.name = "the fake cloud"
        self._settings = settings
        self.region = region

    def placements(self, *, for_interchange: bool = False) -> Sequence[Placement]:
        """Those of the region: spot first if the settings say so."""
        offered = [each for each in self.region.placements if not each.is_spot]
        if for_interchange or not self._settings.spot:
            return offered
        spot = [each._replace(is_spot=True, rate=each.rate.times(1)) for each in offered]
        return [*spot, *(offered if self._settings.spot_fallback else ())]

    def prepare(self, tags: Mapping[str, str]) -> None:
        """Make a network if the settings ask for one."""
        self.region.on_call("prepare")
        if self._settings.create_network:
            self.region.networks["net-1"] = dict(tags)
        self.region.on_call("prepare", is_after=True)

    def launch(self, request: MachineRequest) -> Machine:
        """Start a machine."""
        self.region.on_call("launch")
        made = self.region.add(request)
        self.region.on_call("launch", is_after=True)
        return made

    def list(self, tags: Mapping[str, str]) -> Sequence[Machine]:
        """List machines."""
        self.region.on_call("list")
        return self.region.listed(tags)

    def terminate(self, ids: Collection[str]) -> Mapping[str, str]:
        """End machines."""
        self.region.on_call("terminate")
        for each in ids:
            if each in self.region.machines:
                self.region.end(each, "terminated by its user", EndCause.USER, is_terminated=True)
        self.region.on_call("terminate", is_after=True)
        return {}

    def console(self, machine: str) -> bytes:
        """Return what a played machine has printed, or what the test lets one print."""
        self.region.on_call("console")
        known = self.region.machines.get(machine)
        if known is None:
            return b""
        return known.played.console() if known.played is not None else known.printed

    def remove_shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Remove networks, if no machine lives."""
        self.region.on_call("remove_shared")
        removed = [] if self.region.living() else list(self.shared(tags))
        for name in removed:
            del self.region.networks[name]
        return removed

    def shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Return names of networks."""
        return [name for name, own in self.region.networks.items() if tags.items() <= own.items()]

    def preview(self, request: MachineRequest) -> Mapping[str, object]:
        """Return the request's own fields."""
        return {"name": request.name, "placement": str(request.placement), "tags": dict(request.tags)}

    def check(self) -> Sequence[Finding]:
        """Report that it is there."""
        return [Finding("the fake cloud", Verdict.GOOD, "in memory")]

    def close(self) -> None:
        """Do nothing: there is no connection."""


class FakeControl:
    """Satisfies `cnflow.testing.contracts.machines.CloudControl`.

    Args:
        region: that is controlled.
    """

    def __init__(self, region: FakeRegion) -> None:
        self._region = region

    def running(self) -> Collection[str]:
        """Ids of all machines that have not ended."""
        return list(self._region.living())

    def tags(self, machine: str) -> Mapping[str, str]:
        """Tags of a machine."""
        return self._region.machines[machine].request.tags

    @contextlib.contextmanager
    def faulty(self, fault: str) -> Iterator[None]:
        """Refuse launches, or all calls."""
        calls = ("launch", "list", "terminate") if fault == "outage" else ("launch",)
        for call in calls:
            self._region.fail(call, FAULTS[fault], times=1_000_000)
        yield
        self._region.mend()

    @contextlib.contextmanager
    def losing_answers(self) -> Iterator[None]:
        """Lose the first answer of a launch."""
        self._region.fail("launch", FAULTS["outage"], after=True)
        yield
        self._region.mend()

    @contextlib.contextmanager
    def room_for(self, machines: int) -> Iterator[None]:
        """Have room for so many more."""
        self._region.quota = len(self._region.living()) + machines
        yield
        self._region.quota = None

    def halt(self, machine: str) -> None:
        """End a machine as its own shutdown does."""
        self._region.end(machine, "shut down from inside")

    def preempt(self, machine: str) -> None:
        """Take a machine back."""
        self._region.preempt(machine)

    def launch_foreign(self) -> str:
        """Start a machine of somebody else."""
        script = "#!/bin/sh\nwhile :; do sleep 1; done\n"
        request = MachineRequest("web-1", "foreign", self._region.placements[0], {"team": "web"}, script)
        return self._region.add(request).id


FAULTS: Mapping[str, BlockError] = {
    "capacity": NoCapacityError("there is no machine of this type left"),
    "quota": QuotaError("a limit of the account is reached"),
    "throttle": ProviderBusyError("too many requests"),
    "credentials": BlockRejectedError("the credentials have expired; log in again"),
    "outage": BlockError("the cloud does not answer"),
}
"""Errors of a cloud by what has gone wrong."""


class FakeMachineProvider(MachineSettings):
    """Settings of machines of a `FakeRegion`, which `use` gives to them."""

    backend: ClassVar[str] = "cnflow.testing.clouds:FakeMachineBackend"
    kind: Literal["fake_cloud"] = "fake_cloud"
    region: str = "default"
    is_in_cloud: bool = True
    poll_period: float = 0.05
    status_lag: float = 0.0

    def traits(self) -> Traits:
        """Traits of machines, asked for more often."""
        return (
            super()
            .traits()
            ._replace(
                poll_period=Seconds(self.poll_period), status_lag=Seconds(self.status_lag), submits_per_second=100.0
            )
        )


REGIONS: dict[str, tuple[FakeRegion, MakeBootSite | None]] = {}
"""By name, for whole runs; with what makes boot sites there, None for cnflow's own."""


class FakeMachineBackend(MachineBackend):
    """Live half of `FakeMachineProvider`, in the region of `REGIONS` with its name."""

    def __init__(self, settings: FakeMachineProvider) -> None:
        region, make_boot_site = REGIONS[settings.region]
        super().__init__(settings, lambda own: FakeCloud(own, region), make_boot_site=make_boot_site)
