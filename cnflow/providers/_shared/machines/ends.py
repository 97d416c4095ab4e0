"""Finds out how machines ended, by their reports to the boot site and by their consoles; each machine once.

::

    machine has ended ──> report of its boot site ──> console ──> End, kept
                                                        └── shows no end yet: asked again for a while, as it comes late
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from cnflow.errors import BlockError
from cnflow.providers._shared.machines.console import NO_END, End, end_in
from cnflow.providers._shared.machines.judge import LIVING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cnflow.clock import Clock
    from cnflow.interfaces.cloud import Cloud
    from cnflow.model.machine import Machine

logger = logging.getLogger(__name__)

_ASKED_FOR = 10.0
"""Seconds from the first look for which a console is read again while it shows no end."""


class Ends:
    """Ends of machines. Safe from any thread.

    Args:
        cloud: that has the consoles.
        report_of: report of a machine to the boot site; empty if there is none.
        clock: source of time.
    """

    def __init__(self, cloud: Cloud, report_of: Callable[[Machine], str], clock: Clock) -> None:
        self._cloud = cloud
        self._report_of = report_of
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, End] = {}
        self._since: dict[str, float] = {}

    def of(self, machines: Iterable[Machine]) -> dict[str, End]:
        """Return the ends of those of *machines* that have ended, by id."""
        return {each.id: self._end_of(each) for each in machines if each.state not in LIVING}

    def is_awaited(self, machine: Machine) -> bool:
        """True if the end of *machine* is not known yet and may be, soon."""
        if machine.state in LIVING or machine.cause is not None:
            return False
        with self._lock:
            since = self._since.setdefault(machine.id, self._clock.now())
            known = self._known.get(machine.id, NO_END)
        return not known.is_known and self._clock.now() - since < _ASKED_FOR

    def _end_of(self, machine: Machine) -> End:
        with self._lock:
            since = self._since.setdefault(machine.id, self._clock.now())
            known = self._known.get(machine.id)
        if known is not None and (known.is_known or self._clock.now() - since > _ASKED_FOR):
            return known
        found = end_in(self._report_of(machine))
        if not found.is_known:
            found = self._on_console(machine) or found
        with self._lock:
            self._known[machine.id] = found
        return found

    def _on_console(self, machine: Machine) -> End | None:
        try:
            return end_in(self._cloud.console(machine.id).decode(errors="replace"))
        except BlockError as error:
            logger.debug("the console of %s is not known: %s", machine.id, error)
            return None
