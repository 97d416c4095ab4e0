"""Provider of virtual machines, over any cloud: a block is one machine for each node, found again by its tags.

::

    prepare: credentials, image and network of the cloud, once
    submit:  BootSite.admit ──> user data of each rank ──> Launcher: first placement with room, all machines or none
    status:  one `Cloud.list` for an executor ──> `judge_block`; ends by console and report of the boot site
    cancel:  Cloud.terminate ──> listed as ending ──> tokens forgotten
    place_interchange: a machine of its own, reached by ssh; the boot site moves there      (`machines.interchange`)
    close:   network removed, if it was made here and nothing is left in it; machines live on

A native id is `tags.block_tag` of the block's name, which follows from the request: a driver that was killed before the
cloud answered finds the block under the same id. Machines without cnflow's tags are never looked at.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from cnflow.addresses import addresses_of_this_machine
from cnflow.clock import SystemClock
from cnflow.errors import BlockError, CapsuleError, ConfigurationError
from cnflow.ids import BlockId, NativeId
from cnflow.model.block import BlockState, Refusal, Refused
from cnflow.providers._shared.machines import run_marks, tags
from cnflow.providers._shared.machines.console import last_output
from cnflow.providers._shared.machines.ends import Ends
from cnflow.providers._shared.machines.images import identity_of, refuse_unfit
from cnflow.providers._shared.machines.judge import Block, judge_block, number
from cnflow.providers._shared.machines.launching import Launcher, UnsureLaunchError, machine_request
from cnflow.providers._shared.machines.listing import Listing
from cnflow.providers._shared.machines.placements import Placements
from cnflow.providers._shared.machines.rates import Rates
from cnflow.providers._shared.machines.removal import Removal
from cnflow.providers._shared.machines.sites import Sites
from cnflow.providers._shared.side_by_side import side_by_side
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from cnflow.clock import Clock
    from cnflow.config.machines import MachineSettings
    from cnflow.ids import RunId
    from cnflow.interfaces import Cloud, InterchangeRequest, PlacedInterchange
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest, BlockStatus
    from cnflow.model.finding import Finding
    from cnflow.model.image import Image
    from cnflow.model.image_identity import ImageIdentity
    from cnflow.model.machine import Machine
    from cnflow.providers._shared.machines.sites import MakeBootSite

logger = logging.getLogger(__name__)

_AT_ONCE = 8
_CONFIRMED_WITHIN = 5.0
"""Seconds for which `cancel` waits until the cloud lists machines as ending."""


class MachineBackend:
    """Starts managers on virtual machines. Asks the cloud on first use. Safe from any thread.

    Args:
        settings: what the user wrote.
        make_cloud: makes the cloud of *settings*; called once, on first use, since it imports an SDK.
        make_boot_site: delivers code and keys; None is `cnflow.providers._shared.machines.boot_site`.
        clock: source of time.
    """

    def __init__(
        self,
        settings: MachineSettings,
        make_cloud: Callable[[Any], Cloud],
        *,
        make_boot_site: MakeBootSite | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._make_cloud = make_cloud
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._parts: _Parts | None = None
        self._is_ending = threading.Event()
        self._sites = Sites(settings, make_boot_site, self._is_ending)
        self._launched: dict[str, tuple[Seconds, tuple[Machine, ...]]] = {}
        """Blocks that this provider has started, until the cloud has listed them."""

        self._names: dict[str, str] = {}
        """`BlockRequest.name` of each block that was submitted here."""

        self._cancelled: set[str] = set()
        self._preempted: set[str] = set()
        self._runs: set[str] = set()
        """Tags of the runs that this provider has marked as living; see `run_marks`."""

    @property
    def cloud(self) -> Cloud:
        """The cloud; see `cnflow.interfaces.HasCloud`."""
        return self._on.cloud

    def endpoint_hosts(self) -> Collection[str]:
        """Offer all addresses of this machine."""
        return addresses_of_this_machine()

    def prepare(self, image: Image) -> ImageIdentity:
        """Check credentials and options, make the network, and find the digest of *image*, which machines pull."""
        refuse_unfit(image)
        cloud = self._on.cloud
        cloud.prepare(tags.network_tags())
        cloud.placements()
        return identity_of(image)

    def place_interchange(self, request: InterchangeRequest) -> PlacedInterchange:
        """Have a machine for the interchange of an executor, whose driver blocks cannot reach."""
        self._mark(request.run)
        return self._sites.place_interchange(request, self._on.cloud)

    def submit(self, requests: Sequence[BlockRequest]) -> Mapping[BlockId, NativeId | Refused]:
        """Launch the machines of *requests*, some blocks at a time."""
        for run in {request.run for request in requests}:
            self._mark(run)
        return side_by_side(self._submit, requests, _AT_ONCE)

    def find(self, run: RunId, executor: str) -> Mapping[BlockId, NativeId]:
        """Find blocks with machines that have not ended."""
        found = self._on.listing.in_scope((run, executor))
        return {
            BlockId(block.machines[0].tags.get(tags.NUMBER, "")): NativeId(native)
            for native, block in found.items()
            if not block.is_over
        }

    def find_all(self) -> Mapping[NativeId, str]:
        """Find blocks of all runs of this user and machine; their names are as in tags."""
        return {NativeId(native): native for native in self._on.removal.own_blocks()}

    def remove_run(self, run: RunId) -> None:
        """End all machines of *run*, and remove networks that nothing uses any more."""
        self._on.removal.remove_run(run)

    def remove_orphans(self) -> Sequence[str]:
        """End machines of this user that nobody needs any more, and remove networks without machines."""
        return self._on.removal.remove_orphans()

    def status(self, blocks: Collection[NativeId]) -> Mapping[NativeId, BlockStatus]:
        """Judge *blocks* by what the cloud lists; what is left of failed ones is ended."""
        if not blocks:
            return {}
        found = self._listed(blocks)
        for native, block in found.items():
            self._sites.bring(self._names.get(native, ""), block.machines)
        judged = {native: self._judge(found[native]) for native in blocks}
        self._end_rest(found[native] for native, status in judged.items() if status and status.state.is_final)
        return {native: status for native, status in judged.items() if status is not None}

    def watch(self, changed: Callable[[], None]) -> Stop | None:
        """Nothing: clouds are asked."""
        del changed
        return None

    def cancel(self, blocks: Collection[NativeId]) -> Mapping[NativeId, str]:
        """Terminate the machines of *blocks*, and wait until the cloud lists them as ending."""
        if not blocks:
            return {}
        found = self._listed(blocks)
        with self._lock:
            self._cancelled.update(blocks)
        machines = {each.id: native for native, block in found.items() for each in block.left}
        refused = self._on.cloud.terminate(list(machines)) if machines else {}
        left = {machines[each]: why for each, why in refused.items() if each in machines}
        left.update(self._not_confirmed([native for native in machines.values() if native not in left]))
        self._forget([native for native in blocks if native not in left])
        return left

    def logs(self, block: NativeId, node: int, last: int) -> bytes:
        """Read the console of the machine with rank *node*, else its report; empty if it has printed nothing."""
        machines = [each for each in self._listed([block])[block].machines if number(each, tags.RANK, 0) == node]
        if not machines:
            return b""
        text = self._on.cloud.console(machines[0].id).decode(errors="replace")
        return last_output(text or self._report_of(machines[0]), last)

    def preview(self, request: BlockRequest) -> Mapping[str, object]:
        """Return the request for the first machine, as the cloud gets it, without what holds keys."""
        cloud, words = self._on.cloud, "#!/bin/sh\n# Drawn for each machine: where it fetches cnflow, and a token.\n"
        timeout = self._settings.startup_timeout
        offered = cloud.placements()
        wanted = machine_request(request, 0, offered[0], words, self._settings.tags, startup_timeout=timeout)
        return cloud.preview(wanted)

    def check(self) -> Sequence[Finding]:
        """Check credentials, rights, image, network and quotas."""
        return self._on.cloud.check()

    def interrupt(self) -> None:
        """End waits for the machine of an interchange."""
        self._is_ending.set()

    def close(self) -> None:
        """End the boot site, remove the network if it is empty, and close connections; machines live on."""
        self._sites.close()
        with self._lock:
            parts, self._parts = self._parts, None
            runs, self._runs = self._runs, set()
        for run in runs:
            run_marks.release(run)
        if parts is None:
            return
        try:
            if self._settings.create_network and not parts.removal.remove_networks(runs):
                words = "stays while machines end or other runs live; `cnflow clean --cloud` removes it"
                logger.info("the network of %s %s", parts.cloud.name, words)
        except BlockError as error:
            logger.warning("networks of %s are left: %s. `cnflow clean --cloud` removes them", parts.cloud.name, error)
        parts.cloud.close()

    # Parts of these

    @property
    def _on(self) -> _Parts:
        """Cloud, and what works on it; made on first use."""
        with self._lock:
            if self._parts is None:
                self._parts = _Parts(self._make_cloud(self._settings), self._settings, self._report_of, self._clock)
            return self._parts

    def _mark(self, run: RunId) -> None:
        """Mark *run* as one whose driver lives, before it has machines."""
        tag = tags.tag_value(run)
        with self._lock:
            if tag in self._runs:
                return
            self._runs.add(tag)
        run_marks.hold(tag)

    def _submit(self, request: BlockRequest) -> NativeId | Refused:
        native = tags.block_tag(request.name)
        try:
            refuse_unfit(request.image)
            self._on.listing.on_known([native], (request.run, request.executor))
            with self._lock:
                self._names[native] = request.name
            site = self._sites.boot_site()
            user_data = [site.admit(request, rank) for rank in range(request.nodes)]
            machines = self._on.launcher.launch(request, user_data, self._settings.tags)
        except UnsureLaunchError as error:
            return Refused(Refusal.UNKNOWN, str(error), error)
        except BlockError as error:
            self._forget([native])
            return Refused.by(error)
        except (CapsuleError, ConfigurationError) as error:
            return Refused(Refusal.FOR_GOOD, str(error))
        with self._lock:
            self._launched[native] = self._clock.now(), tuple(machines)
        return NativeId(native)

    def _listed(self, blocks: Collection[NativeId]) -> dict[NativeId, Block]:
        """Return *blocks* as the cloud lists them; those that it does not list yet, as it has accepted them."""
        found = self._on.listing.blocks(blocks)
        return {native: self._with_launched(found[native]) for native in blocks}

    def _with_launched(self, block: Block) -> Block:
        with self._lock:
            since, machines = self._launched.get(block.tag, (Seconds(0.0), ()))
            if not machines:
                return block
            listed = {each.id for each in block.machines}
            late = tuple(each for each in machines if each.id not in listed)
            if not late or self._clock.now() - since > self._settings.traits().status_lag:
                self._launched.pop(block.tag)
                return block
        return block._replace(machines=(*block.machines, *late))

    def _judge(self, block: Block) -> BlockStatus | None:
        """Return the status of *block*; None while nothing is reported, since its console comes late."""
        on = self._on
        ends = on.ends.of(block.machines) if block.is_over else {}
        is_awaited = block.is_over and any(on.ends.is_awaited(each) for each in block.machines)
        if is_awaited and block.tag not in self._cancelled:
            return None
        lag = self._settings.traits().status_lag
        status = judge_block(block, ends, wall=time.time(), lag=lag, rate_of=on.rates.of)
        if status.state is BlockState.FAILED and status.cause is not None and status.cause.is_regular:
            for each in block.machines:
                if each.id not in self._preempted:
                    self._preempted.add(each.id)
                    on.launcher.on_preempted(each.placement)
        return status

    def _end_rest(self, blocks: Iterable[Block]) -> None:
        """Terminate what is left of blocks that are over: one whose other machines never came, or that is kept."""
        machines = [machine for block in blocks for machine in block.left]
        if not machines:
            return
        try:
            self._on.cloud.terminate([each.id for each in machines])
        except BlockError as error:
            logger.warning("machines of ended blocks are left, and terminated later: %s", error)

    def _not_confirmed(self, blocks: Collection[NativeId]) -> dict[NativeId, str]:
        """Wait until machines of *blocks* are listed as ending; return those that were not."""
        deadline, pause = time.monotonic() + _CONFIRMED_WITHIN, 0.05
        while blocks:
            found = self._on.listing.blocks(blocks)
            blocks = [native for native in blocks if not found[native].is_over]
            if not blocks or time.monotonic() > deadline:
                break
            time.sleep(pause)
            pause = min(1.0, pause * 2)
        return dict.fromkeys(blocks, f"{self._on.cloud.name} lists it as running after the order to end it")

    def _forget(self, blocks: Collection[str]) -> None:
        """Let tokens of blocks that have ended, or never were, work no more."""
        with self._lock:
            names = [name for native in blocks if (name := self._names.pop(native, ""))]
            for native in blocks:
                self._launched.pop(native, None)
        if names:
            self._sites.forget(names)

    def _report_of(self, machine: Machine) -> str:
        with self._lock:
            name = self._names.get(machine.tags.get(tags.BLOCK, ""), "")
        return self._sites.report_of(name, number(machine, tags.RANK, 0)) if name else ""


class _Parts:
    """A cloud, and all that works on it."""

    def __init__(
        self, cloud: Cloud, settings: MachineSettings, report_of: Callable[[Machine], str], clock: Clock
    ) -> None:
        self.cloud = cloud
        self.listing = Listing(cloud)
        self.launcher = Launcher(cloud, Placements(), clock, settings.startup_timeout)
        self.ends = Ends(cloud, report_of, clock)
        self.rates = Rates(cloud, settings.price_per_hour)
        self.removal = Removal(cloud, is_network_own=settings.create_network)
