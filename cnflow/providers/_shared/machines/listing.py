"""Lists the machines of blocks: one query for all blocks of an executor, and one for each block of unknown origin.

::

    scopes: (run, executor) of each block that was submitted or found
    list(blocks) ──> one query per scope ──> a block of no scope that was not listed: one query by its own tag
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cnflow.ids import RunId
from cnflow.providers._shared.machines import tags
from cnflow.providers._shared.machines.judge import Block, blocks_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cnflow.interfaces.cloud import Cloud

Scope = tuple[RunId, str]


class Listing:
    """Queries of one provider. Safe from any thread.

    Args:
        cloud: that is asked.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._scopes: dict[str, Scope] = {}

    def on_known(self, blocks: Iterable[str], scope: Scope) -> None:
        """Blocks of these native ids are of *scope*."""
        with self._lock:
            self._scopes.update(dict.fromkeys(blocks, scope))

    def _learn(self, found: Mapping[str, Block]) -> None:
        """Know blocks of unknown origin by the tags of their machines: they take no query of their own any more."""
        for native, block in found.items():
            own = block.machines[0].tags
            if own.get(tags.RUN) and own.get(tags.EXECUTOR):
                self.on_known([native], (RunId(own[tags.RUN]), own[tags.EXECUTOR]))

    def forget(self, blocks: Iterable[str]) -> None:
        """Nobody asks for *blocks* any more."""
        with self._lock:
            for block in blocks:
                self._scopes.pop(block, None)

    def in_scope(self, scope: Scope) -> dict[str, Block]:
        """Return all blocks of one executor by native id, also those that ended some minutes ago.

        Raises:
            BlockError: the cloud does not answer.
        """
        found = blocks_of(self._cloud.list(tags.run_tags(*scope)))
        self.on_known(found, scope)
        return found

    def blocks(self, natives: Collection[str]) -> dict[str, Block]:
        """Return *natives*, each with its machines; none for one that the cloud does not list.

        Raises:
            BlockError: the cloud does not answer.
        """
        with self._lock:
            scopes = {native: self._scopes[native] for native in natives if native in self._scopes}
        listed: dict[str, Block] = {}
        for scope in dict.fromkeys(scopes.values()):
            listed.update(self.in_scope(scope))
        for native in natives:
            if native not in listed and native not in scopes:
                found = blocks_of(self._cloud.list({tags.BLOCK: native}))
                listed.update(found)
                self._learn(found)
        return {native: listed.get(native, Block(native, ())) for native in natives}
