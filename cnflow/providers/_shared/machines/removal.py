"""Ends machines of runs whose drivers are gone, and removes networks that no machine uses. Only by cnflow's tags.

::

    remove_run(run):   machines with the tag of the run ──> terminated ──> networks of this user removed if empty
    remove_orphans():  machines of this user whose `cnflow-expires` is over, and whose driver is gone from this machine
                       ──> terminated ──> the same
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cnflow.errors import BlockError
from cnflow.providers._shared.machines import run_marks, tags
from cnflow.providers._shared.machines.judge import blocks_of, is_left, number

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cnflow.ids import RunId
    from cnflow.interfaces import Cloud
    from cnflow.model.machine import Machine


class Removal:
    """Removes what runs have left.

    Args:
        cloud: that has it.
        is_network_own: networks were made by cnflow, and are removed.
    """

    def __init__(self, cloud: Cloud, *, is_network_own: bool) -> None:
        self._cloud = cloud
        self._is_network_own = is_network_own

    def own_blocks(self) -> list[str]:
        """Native ids of the blocks of this user and machine that have not ended.

        Raises:
            BlockError: the cloud does not answer.
        """
        found = blocks_of(self._cloud.list({tags.OWNER: tags.owner()}))
        return [native for native, block in found.items() if not block.is_over]

    def remove_run(self, run: RunId) -> None:
        """End all machines of *run*.

        Raises:
            BlockError: the cloud does not answer, or does not end some.
        """
        self._end(_left(self._cloud.list(tags.run_tags(run))))
        self.remove_networks([tags.tag_value(run)])

    def remove_orphans(self) -> Sequence[str]:
        """End expired machines, and those that have ended and are kept; return names of all that was removed.

        Raises:
            BlockError: the cloud does not answer, or does not end some.
        """
        now = time.time()
        mine = _left(self._cloud.list({tags.OWNER: tags.owner()}))
        over = [each for each in mine if each.is_kept or 0 < number(each, tags.EXPIRES, 0) < now]
        unwanted = [each for each in over if not _is_needed(each)]
        self._end(unwanted)
        return [*(f"machine {each.id}" for each in unwanted), *self.remove_networks()]

    def remove_networks(self, runs: Collection[str] = ()) -> Sequence[str]:
        """Remove networks of this user and machine, unless they are of use; return their names.

        They are while machines live, and while another run than those with the tags *runs* does, which may have none
        just now.

        Raises:
            BlockError: the cloud does not answer.
        """
        if not self._is_network_own or run_marks.others_live(runs):
            return ()
        if _left(self._cloud.list({tags.OWNER: tags.owner()})):
            return ()
        return self._cloud.remove_shared(tags.network_tags())

    def _end(self, machines: Sequence[Machine]) -> None:
        if not machines:
            return
        left = self._cloud.terminate([each.id for each in machines])
        if left:
            words = "; ".join(f"{machine}: {why}" for machine, why in left.items())
            raise BlockError(f"{self._cloud.name} does not end some machines: {words}")


def _left(machines: Sequence[Machine]) -> list[Machine]:
    return [each for each in machines if is_left(each)]


def _is_needed(machine: Machine) -> bool:
    """Return whether the driver of the machine's run lives here: a run may take longer than was thought."""
    return run_marks.living_driver(machine.tags.get(tags.RUN, "")) is not None
