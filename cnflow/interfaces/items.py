"""Seam to the contents that travel apart from tasks: an executor's attribute ``items`` (`cnflow.model.item`).

::

    offer_file, offer_value ──> Item ── part of the arguments of tasks ──> fetched by the nodes that run them
         │ held once by its receiver                                              (`Task.items`)
         ├── hold, release: one user more, or less, of the driver
         └── no user and no unfinished task refers to it ──> dropped by the driver, the interchange and the nodes

    Outcome.items ──> Item that a task left on its node, held once by the receiver ── fetch, hold, release

An executor whose tasks run in the driver, or see all of its files, has no ``items``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from cnflow.model.item import Item, ItemForm


class ItemStore(Protocol):
    """Contents of one executor. Safe from any thread; no method waits for the network or reads a file's content."""

    def offer_file(self, path: str, form: ItemForm) -> Future[Item]:
        """Compute the key of the file at *path*, in a thread of its own, and offer it to tasks. It is held once.

        The same file, by its identity, size and time of change, is read once. It must not change until the last task
        that refers to it is done: a change fails these tasks, with words. A folder is packed as a TREE.

        The future's error: StagingError where the file cannot be read.
        """

    def offer_value(self, chunks: Sequence[memoryview], key: bytes = b"", name: str = "") -> Item:
        """Offer a value, in the layout of `cnflow.tasks.value_files`, to tasks. It is held once; *chunks* are kept.

        *key* is its digest where the caller has it. *name* becomes the item's: a path at which processes of this
        machine find the bytes, and the identity of that file.
        """

    def fetch(self, item: Item, path: str) -> Future[str]:
        """Bring *item*, of whatever source, to *path* on the driver's machine; the future's value is *path*.

        A FILE or VALUE is there whole or not at all, a TREE is unpacked.

        The future's error: StagingError where nobody has it any more (then it is `ItemLostError`), or it cannot be
        written.
        """

    def hold(self, item: Item) -> None:
        """Note that one user more of the driver refers to *item*."""

    def release(self, item: Item) -> None:
        """Note that one user less of the driver refers to *item*."""

    def locations(self, item: Item) -> Sequence[str]:
        """Describe who has *item*, for people: managers with their hosts; ``the driver`` for what it has itself."""
