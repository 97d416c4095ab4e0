"""Finds managers that listen, and orders the interchange to connect to them.

::

    on_admitted ──> looks into the folder often ──> an address of an admitted block ──> Dial ──> interchange
                          │      ^                                                                   │
                          │      └── nothing new: more and more rarely                               │
                          └── forget(block): its files are removed          on_dial_failed <─────────┘

Files are the one thing that every batch system's nodes and its login node share, and no file system tells one machine
of another's changes: so the folder is looked at, in a thread that sleeps most of the time.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from cnflow.executors.high_throughput.address_folder import AddressFolder
from cnflow.ids import ManagerId
from cnflow.wire.dial_messages import Dial, DialFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cnflow.clock import Clock
    from cnflow.ids import BlockId
    from cnflow.model.listening_address import ListeningAddress
    from cnflow.wire import messages as msg

logger = logging.getLogger(__name__)

_SHORTEST, _LONGEST = 0.05, 2.0
"""Seconds between two looks."""

_SHARE = 0.1
"""Share of the time since the last change after which the folder is looked at again."""


class ListeningManagers:
    """Managers of one executor that listen; the module has a picture.

    Args:
        label: of the executor.
        path: folder of their addresses.
        order: sends an order to the interchange.
        admitted: returns the blocks whose managers may connect.
        clock: moments.

    Attributes:
        path: as given.
    """

    def __init__(
        self,
        label: str,
        path: str,
        order: Callable[[msg.Order], None],
        admitted: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        self.path = path
        self._label = label
        self._order = order
        self._admitted = admitted
        self._clock = clock
        self._folder = AddressFolder(path)
        self._changed_at = clock.now()
        self._early: dict[ManagerId, ListeningAddress] = {}
        """Of blocks that are not admitted, as those of another run."""

        self._problems: dict[BlockId, str] = {}
        self._gone: list[BlockId] = []
        self._wake = threading.Event()
        self._is_closed = False
        self._last_error = ""
        self._thread = threading.Thread(target=self._watch, name=f"cnflow-{label}-addresses", daemon=True)

    def start(self) -> None:
        """Make the folder, and begin to look into it.

        Raises:
            OSError: it cannot be made, or read.
        """
        self._folder.create()
        self._thread.start()

    def on_admitted(self) -> None:
        """Look often: blocks are about to start. Safe from any thread."""
        self._changed_at = self._clock.now()
        self._wake.set()

    def forget(self, block: BlockId) -> None:
        """Remove what is left of *block*. Safe from any thread."""
        self._gone.append(block)
        self._wake.set()

    def on_dial_failed(self, failed: DialFailed) -> None:
        """Keep the reason for `explain`."""
        logger.warning("executor %s, block %s: %s", self._label, failed.block, failed.reason)
        self._problems[failed.block] = failed.reason

    def explain(self, block: BlockId) -> str:
        """Reason why no manager of *block* is connected, as far as it is known."""
        return self._problems.get(block, f"no manager of it has written its address into {self.path}")

    def close(self) -> None:
        """Look no more, wait for that, and remove the folder: all blocks are over."""
        self._is_closed = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
            self._folder.delete()

    # The thread

    def _watch(self) -> None:
        while not self._is_closed:
            try:
                self._look()
            except OSError as error:
                self._on_error(error)
            except Exception:  # a silent end would leave all later blocks unconnected
                logger.exception("the search for managers of executor %s failed", self._label)
            quiet = self._clock.now() - self._changed_at
            self._wake.wait(min(max(quiet * _SHARE, _SHORTEST), _LONGEST))
            self._wake.clear()

    def _look(self) -> None:
        while self._gone:
            block = self._gone.pop()
            self._folder.remove(block)
            self._problems.pop(block, None)
        found = self._folder.changed(self._clock.now())
        self._early.update((ManagerId(bytes.fromhex(address.manager)), address) for address in found)
        if not self._early:
            return
        admitted = self._admitted()
        for manager, address in [entry for entry in self._early.items() if entry[1].block in admitted]:
            del self._early[manager]
            self._changed_at = self._clock.now()
            self._problems.pop(address.block, None)
            self._order(Dial(manager, address.block, address.hosts, address.ports))

    def _on_error(self, error: OSError) -> None:
        if str(error) != self._last_error:
            self._last_error = str(error)
            logger.warning("managers of executor %s are not found: %s", self._label, error)
