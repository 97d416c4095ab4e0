"""Launches the machines of one block, all or none, at the first placement that has room for each.

::

    rank 0 ──launch at placement 1──> no room ──> placement 2 ──> Machine
    rank 1 ──launch at placement 2──> refused everywhere ──> machine of rank 0 is terminated ──> the refusal is raised
                                  └─> no answer ───────────> the same; what runs is found later, by its tags

A repeated request has the same token, so that a lost answer starts nothing twice.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from typing import TYPE_CHECKING

from cnflow.errors import BlockError, BlockRejectedError, NoCapacityError, ProviderBusyError, QuotaError
from cnflow.model.machine import MachineRequest
from cnflow.providers._shared.machines import tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.clock import Clock
    from cnflow.interfaces.cloud import Cloud
    from cnflow.model.block import BlockRequest
    from cnflow.model.machine import Machine, Placement
    from cnflow.providers._shared.machines.placements import Placements

logger = logging.getLogger(__name__)

_END_MARGIN = 600.0
"""Seconds that a machine may live longer than its block's walltime and the start of its manager."""

_WEEK = 7 * 24 * 3600.0


class UnsureLaunchError(BlockError):
    """A block may have machines though it was refused: `Provider.find` shows them."""


class Launcher:
    """Launches blocks. Safe from any thread.

    Args:
        cloud: in which.
        placements: of the provider.
        clock: source of time.
        startup_timeout: of the settings.
    """

    def __init__(self, cloud: Cloud, placements: Placements, clock: Clock, startup_timeout: float) -> None:
        self._cloud = cloud
        self._placements = placements
        self._clock = clock
        self._startup_timeout = startup_timeout
        self._lock = threading.Lock()

    def launch(self, request: BlockRequest, user_data: Sequence[str], further: Mapping[str, str]) -> list[Machine]:
        """Launch a machine for each of *user_data*, with *further* tags.

        Raises:
            NoCapacityError, QuotaError, ProviderBusyError, BlockRejectedError: nothing runs.
            UnsureLaunchError: there was no answer, or what had been started was not confirmed to end.
            BlockError: placements are not known; nothing was started.
        """
        offered = self._cloud.placements()
        started: list[Machine] = []
        try:
            for rank, text in enumerate(user_data):
                started.append(self._launch_one(request, rank, text, further, offered))
        except BlockError as error:
            self._take_back(started, error)
            raise
        return started

    def on_preempted(self, placement: Placement) -> None:
        """A machine there was taken back."""
        with self._lock:
            self._placements.on_preempted(placement, self._clock.now())

    def _launch_one(
        self,
        request: BlockRequest,
        rank: int,
        user_data: str,
        further: Mapping[str, str],
        offered: Sequence[Placement],
    ) -> Machine:
        with self._lock:
            usable = self._placements.order(offered, self._clock.now())
        for placement in usable:
            with self._lock:  # another block may have met an obstacle there meanwhile
                if not self._placements.order([placement], self._clock.now()):
                    continue
            wanted = machine_request(
                request, rank, placement, user_data, further, startup_timeout=self._startup_timeout
            )
            try:
                machine = self._cloud.launch(wanted)
            except NoCapacityError as error:
                self._on_refused(placement, error)
            except QuotaError as error:
                self._on_refused(placement, error)
            except (ProviderBusyError, BlockRejectedError):
                raise
            except BlockError as error:
                raise UnsureLaunchError(str(error)) from error
            else:
                with self._lock:
                    self._placements.on_launched(placement)
                return machine
        raise self._no_room(offered)

    def _on_refused(self, placement: Placement, error: NoCapacityError | QuotaError) -> None:
        logger.info("%s has no machine: %s: %s", self._cloud.name, placement, error)
        pass_over = self._placements.on_quota if isinstance(error, QuotaError) else self._placements.on_no_room
        with self._lock:
            pass_over(placement, str(error), self._clock.now())

    def _no_room(self, offered: Sequence[Placement]) -> NoCapacityError:
        with self._lock:
            reasons = self._placements.reasons(offered, self._clock.now())
        return NoCapacityError(
            f"{self._cloud.name} has no machine left for a block. Each placement was tried:\n{reasons}\n"
            "Name more instance_types= or zones=, or wait."
        )

    def _take_back(self, started: Sequence[Machine], error: BlockError) -> None:
        """End the machines of a block that did not get all of them.

        Raises:
            UnsureLaunchError: some were not confirmed to end.
        """
        if not started:
            return
        try:
            left = dict(self._cloud.terminate([each.id for each in started]))
        except BlockError as failure:
            left = dict.fromkeys((each.id for each in started), str(failure))
        if left:
            words = "; ".join(f"{machine}: {why}" for machine, why in left.items())
            raise UnsureLaunchError(f"{error}\nMachines that were started before that may run: {words}") from error


def machine_request(
    request: BlockRequest,
    rank: int,
    placement: Placement,
    user_data: str,
    further: Mapping[str, str],
    *,
    startup_timeout: float,
) -> MachineRequest:
    """Return the request for machine *rank* of a block at *placement*. Pure but for the time of its expiry."""
    name = tags.machine_name(tags.block_tag(request.name), rank)
    longest = None if request.walltime is None else request.walltime + startup_timeout + _END_MARGIN
    expires = time.time() + (longest or _WEEK)
    token = hashlib.sha256("\0".join((name, *map(str, placement[:3]), user_data)).encode()).hexdigest()[:32]
    own = tags.block_tags(request, rank, expires)
    return MachineRequest(
        name=name, token=token, placement=placement, tags={**further, **own}, user_data=user_data, longest_life=longest
    )
