"""Machines that were deleted a short time ago: some clouds list them no more, and the seam wants them for some minutes.

::

    on_listed(machines) ──> last look at each
    on_deleted(id) ───────> listed as ended for ten minutes, with the reason of its last look
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from cnflow.model.machine import MachineState
from cnflow.providers._shared.machines.judge import LIVING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.clock import Clock
    from cnflow.model.machine import Machine

_LISTED_FOR = 600.0


class RecentlyDeleted:
    """Ended machines of one client. Safe from any thread.

    Args:
        clock: source of time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, Machine] = {}
        self._deleted: dict[str, tuple[float, Machine]] = {}

    def on_listed(self, machines: Iterable[Machine]) -> None:
        """The cloud has described *machines*."""
        with self._lock:
            self._seen.update((machine.id, machine) for machine in machines)

    def on_deleted(self, machine: str) -> None:
        """The machine with that id was deleted."""
        with self._lock:
            seen = self._seen.pop(machine, None)
            if seen is not None:
                reason = "deleted" if seen.state in LIVING else seen.reason
                ended = replace(seen, state=MachineState.ENDED, is_kept=False, reason=reason)
                self._deleted[machine] = self._clock.now(), ended

    def with_tags(self, tags: Mapping[str, str]) -> dict[str, Machine]:
        """Return those with all of *tags*, by id."""
        oldest = self._clock.now() - _LISTED_FOR
        with self._lock:
            self._deleted = {name: each for name, each in self._deleted.items() if each[0] >= oldest}
            return {name: each for name, (_, each) in self._deleted.items() if tags.items() <= each.tags.items()}
