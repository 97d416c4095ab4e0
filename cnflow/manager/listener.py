"""Listens for the interchange where no connection can be made to it, and writes where into a file for the driver.

::

    open ──> two ports ──> FOLDER/ID.address, written as a whole ──> driver ──> Dial ──> interchange connects to both
               │                ^
               │                └── announce: the node's addresses have changed, or the file is gone: written again
               └── close: the file is removed
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from cnflow.addresses import address_by_interface, addresses_for_others
from cnflow.ids import BlockId
from cnflow.manager.errors import CannotListenError
from cnflow.model.listening_address import ListeningAddress
from cnflow.wire import sockets
from cnflow.wire.bulk import with_bulk_suffix

if TYPE_CHECKING:
    from cnflow.ids import ManagerId
    from cnflow.model.manager_settings import ListenSettings

logger = logging.getLogger(__name__)


class Listener:
    """The two sockets of one manager and its file; the module has a picture.

    Args:
        settings: ports and folder.
        block: of the manager.
        manager_id: routing id of its sockets.

    Attributes:
        address: as it was last written.
    """

    def __init__(self, settings: ListenSettings, block: str, manager_id: ManagerId) -> None:
        self._settings = settings
        self._block = BlockId(block)
        self._manager_id = manager_id
        self.address: Optional[ListeningAddress] = None
        self._ports = (0, 0)

    def open(
        self,
        context: Any,  # noqa: ANN401 - ZeroMQ's
        curve: Optional[tuple[str, str, str]],
    ) -> tuple[sockets.ListeningSocket, sockets.ConnectionMonitor, sockets.ListeningSocket]:
        """Listen, and write the address; return the socket for control messages, its monitor, and that for blobs.

        Raises:
            CannotListenError: no two ports are free, the interface has no address, or the file cannot be written.
        """
        interface, ports = self._settings.interface, self._settings.ports
        try:
            endpoint = f"tcp://{address_by_interface(interface)}" if interface else "tcp://*"
        except OSError as error:
            raise CannotListenError(
                f"the network interface {interface!r} of this node has no IPv4 address ({error}). Name another in "
                "Listen(interface=...), or leave it out to use all"
            ) from error
        with contextlib.ExitStack() as on_error:  # a socket that is left open would hold the manager's end up
            try:
                control, monitor, port = sockets.listening_router(context, endpoint, ports, self._manager_id, curve)
                on_error.callback(control.close)
                on_error.callback(monitor.close)
                bulk_id = with_bulk_suffix(self._manager_id)
                bulk, bulk_monitor, bulk_port = sockets.listening_router(context, endpoint, ports, bulk_id, curve)
                on_error.callback(bulk.close)
            except OSError as error:
                raise CannotListenError(
                    f"{error} A manager takes two ports; set a longer range in Listen(ports=...), or leave it out to "
                    "take any free ones"
                ) from error
            bulk_monitor.close()
            self._ports = port, bulk_port
            self.announce()
            on_error.pop_all()
        return control, monitor, bulk

    def announce(self) -> None:
        """Write the address, unless the file has it.

        Raises:
            CannotListenError: it cannot be written.
        """
        address = ListeningAddress(self._manager_id.hex(), self._block, tuple(self._hosts()), self._ports)
        file = Path(self._settings.folder, address.file_name)
        try:
            if address == self.address and file.exists():
                return
            unfinished = file.with_suffix(".new")
            unfinished.write_bytes(address.to_json())
            os.replace(unfinished, file)  # noqa: PTH105 - a reader never sees a part
        except OSError as error:
            raise CannotListenError(
                f"the address of this manager cannot be written for the driver: {error}. Set Listen(folder=...) to a "
                "folder that this node and the driver's machine share, and a container has among its mounts, under the "
                "same path"
            ) from error
        self.address = address
        logger.info("listening at %s", self)

    def close(self) -> None:
        """Remove the file."""
        if self.address is not None:
            with contextlib.suppress(OSError):  # the driver has removed it, or the folder is gone
                Path(self._settings.folder, self.address.file_name).unlink()

    def _hosts(self) -> list[str]:
        """Addresses of this node."""
        if self._settings.interface:
            return [address_by_interface(self._settings.interface)]
        return addresses_for_others()

    def __str__(self) -> str:
        """Where it listens, and where the driver finds that."""
        hosts = ", ".join(self.address.hosts) if self.address is not None else "no address"
        return f"{hosts}, ports {self._ports[0]} and {self._ports[1]} (written to {self._settings.folder})"
