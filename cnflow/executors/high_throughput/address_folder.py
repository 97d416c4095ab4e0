"""Folder into which managers that listen write their addresses."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.model.listening_address import SUFFIX, ListeningAddress
from cnflow.units import Seconds

if TYPE_CHECKING:
    from cnflow.ids import BlockId

logger = logging.getLogger(__name__)

_COARSE = 2.0
"""Seconds after a change of a folder during which its time may hide another one; some systems count whole seconds."""


class AddressFolder:
    """Reads what managers have written; one thread.

    Args:
        path: of the folder; made by `create`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._changed_at = -1
        self._list_until = Seconds(-math.inf)
        self._stamps: dict[str, tuple[int, int]] = {}
        """Inode and time of each file that was read: a file is replaced as a whole."""

        self._blocks: dict[str, BlockId] = {}
        self._unreadable: dict[str, str] = {}
        """Last error of each file that cannot be read, which is tried again at each look."""

    def create(self) -> None:
        """Make the folder, which only the user can enter.

        Raises:
            OSError: it cannot be made, or read.
        """
        Path(self._path).mkdir(mode=0o700, parents=True, exist_ok=True)
        os.listdir(self._path)  # noqa: PTH208 - as `changed` reads it

    def changed(self, now: Seconds) -> list[ListeningAddress]:
        """Return the addresses that are new, or others than at the last call; *now* is any clock's.

        Raises:
            OSError: the folder cannot be read.
        """
        # Opened, not just looked at: NFS asks its server then, and shows a change of another machine.
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            changed_at = os.fstat(folder).st_mtime_ns
            if changed_at != self._changed_at:
                self._changed_at, self._list_until = changed_at, Seconds(now + _COARSE)
            elif now > self._list_until:
                return []
            names = [name for name in os.listdir(folder) if name.endswith(SUFFIX)]  # noqa: PTH208 - of a descriptor
        finally:
            os.close(folder)
        return [address for name in names if (address := self._read(name)) is not None]

    def remove(self, block: BlockId) -> None:
        """Remove what killed managers of *block* have left."""
        for name in [name for name, owner in self._blocks.items() if owner == block]:
            del self._blocks[name]
            self._stamps.pop(name, None)
            with contextlib.suppress(OSError):  # the manager has removed it
                Path(self._path, name).unlink()

    def delete(self) -> None:
        """Remove the folder, unless somebody else's file is in it."""
        for block in {*self._blocks.values()}:
            self.remove(block)
        with contextlib.suppress(OSError):
            Path(self._path).rmdir()

    def _read(self, name: str) -> ListeningAddress | None:
        file = Path(self._path, name)
        try:
            status = file.stat()
            stamp = status.st_ino, status.st_mtime_ns
            if self._stamps.get(name) == stamp:
                return None
            address = ListeningAddress.from_json(file.read_bytes())
        except FileNotFoundError:
            return None  # the manager has ended
        except (OSError, ValueError) as error:
            if self._unreadable.get(name) != str(error):
                self._unreadable[name] = str(error)
                logger.warning("%s cannot be read as the address of a manager: %s", file, error)
            return None
        self._stamps[name] = stamp
        self._blocks[name] = address.block
        return address
