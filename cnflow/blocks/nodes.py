"""Nodes of the blocks of one executor: which have come, which are lost, which never came. No I/O.

::

    on_running ──> awaited ── on_connected, every node ──> complete
                      │
                      └── after the start-up time: one warning that names the nodes which did not come, and the block
                          goes on with the others
    on_lost ──> `gone`: the strategy asks for blocks in the place of lost nodes, also while a provider that does not
                answer leaves it open whether the block lives
    on_over ──> forgotten, at the latest when the provider reports the block's end

A node is known by its number, which the launcher gives to its manager.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.blocks.actions import Warn
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.ids import BlockId


class _Block:
    __slots__ = ("connected", "hosts", "is_overdue", "since")

    def __init__(self) -> None:
        self.since: Seconds | None = None
        """Time from which nodes are awaited, if they are; None: that has not begun."""

        self.hosts: dict[int, str] = {}
        """Host of each node that ever connected."""

        self.connected = 0
        self.is_overdue = False
        """Its time is over: a node that has not connected is not expected any more."""


class Nodes:
    """Nodes of blocks; see the module.

    Args:
        label: of the executor, for messages.
        per_block: managers that a block has once all its nodes have come.
        patience: seconds that a running block has until all have.
        hosts_of: names of the hosts of a block as its provider's system gave them, perhaps none.
    """

    def __init__(
        self, label: str, per_block: int, patience: Seconds, hosts_of: Callable[[BlockId], Sequence[str]]
    ) -> None:
        self._label = label
        self.per_block = per_block
        self._patience = patience
        self._hosts_of = hosts_of
        self._blocks: dict[BlockId, _Block] = {}
        self._awaited: dict[BlockId, _Block] = {}
        self._counted: dict[BlockId, int] = {}
        self.gone = 0
        """Nodes that blocks have lost, or that never came though others of their block did."""

    def on_running(self, block: BlockId, now: Seconds) -> None:
        """Await all nodes of *block* from *now* on, if that was not begun before."""
        known = self._blocks.setdefault(block, _Block())
        if known.since is None:
            known.since = now
            self._awaited[block] = known

    def on_adopted(self, block: BlockId) -> None:
        """Expect nothing of a block of another driver: its nodes may have come and gone."""
        self._blocks.setdefault(block, _Block()).since = Seconds(0.0)

    def on_connected(self, block: BlockId, rank: int, host: str, now: Seconds) -> None:
        """Count a node that has come. Where the launcher gives no numbers, all of them come as number 0."""
        self.on_running(block, now)
        known = self._blocks[block]
        if rank in known.hosts or rank >= self.per_block:
            rank = next((free for free in range(self.per_block) if free not in known.hosts), rank)
        known.hosts[rank] = host
        known.connected += 1
        if len(known.hosts) >= self.per_block:
            self._awaited.pop(block, None)
        self._count(block, known)

    def on_lost(self, block: BlockId) -> None:
        """Count a node less."""
        known = self._blocks.get(block)
        if known is not None and known.connected:
            known.connected -= 1
            self._count(block, known)

    def on_over(self, block: BlockId) -> None:
        """Forget *block*: it ended, or is given no more tasks."""
        self._blocks.pop(block, None)
        self._awaited.pop(block, None)
        self.gone -= self._counted.pop(block, 0)

    def late(self, now: Seconds) -> list[Warn]:
        """Warnings about blocks some of whose nodes have not come in time; one for each block."""
        warnings = []
        for block, known in list(self._awaited.items()):
            if known.since is None or not known.hosts or now - known.since < self._patience:
                continue  # without any node the whole block is late, which is its end
            del self._awaited[block]
            known.is_overdue = True
            self._count(block, known)
            warnings.append(Warn(self._words(block, known, self._hosts_of(block))))
        return warnings

    def _words(self, block: BlockId, known: _Block, hosts: Sequence[str]) -> str:
        ranks = [str(rank) for rank in range(self.per_block) if rank not in known.hosts]
        came = {host.partition(".")[0] for host in known.hosts.values()}
        silent = [host for host in hosts if host.partition(".")[0] not in came]
        named = f" ({', '.join(silent)})" if len(silent) == len(ranks) else ""
        number = f"node {ranks[0]}" if len(ranks) == 1 else f"nodes {', '.join(ranks)}"
        return (
            f"{len(known.hosts)} of {self.per_block} nodes of block {block} of executor {self._label!r} connected "
            f"within {self._patience:g} s; {number}{named} did not, and the block goes on without. Its log may tell "
            "why. If nodes only need longer to start, set startup_timeout of the provider."
        )

    def _count(self, block: BlockId, known: _Block) -> None:
        expected = self.per_block if known.is_overdue else min(self.per_block, len(known.hosts))
        gone = max(0, expected - known.connected)
        self.gone += gone - self._counted.pop(block, 0)
        self._counted[block] = gone
