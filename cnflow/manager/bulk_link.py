"""Connection of the manager over which blobs travel, beside the one for control messages, to the same port.

A manager that listens has a second port for it, to which the interchange connects.

::

    connect (with the control connection) ──> Want, Gone, Chunk of results and items ──> interchange
                                          <── Want of results and items, Chunk, Gone ──┘
        lost: ZeroMQ makes it again; pieces that were on their way are wanted again after a while

Nothing that arrives here is a sign of life, and nothing waits for it: heartbeats and tasks have their own connection.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Optional, Union

from cnflow.manager.kept_results import KeptResults
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.bulk import Chunk, Gone, Want, with_bulk_suffix
from cnflow.wire.peer_limits import MalformedMessageLimit
from cnflow.wire.peer_messages import Serving, decode_lane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.ids import ManagerId
    from cnflow.manager.incomplete_tasks import IncompleteTasks
    from cnflow.manager.items.node_items import NodeItems
    from cnflow.manager.items.peers import Peers, Reply
    from cnflow.units import Seconds

logger = logging.getLogger(__name__)

_MOST_MESSAGES = 16
"""Messages that are read in one turn, before workers and control messages have theirs."""


class BulkLink:
    """The manager's end; the module has a picture.

    Args:
        manager_id: id of the manager.
        poller: the loop's; the link registers its sockets.
        tasks: those that wait for arguments.
        items: of this node.
        peers: connections to other managers.
        patience: see `KeptResults`.

    Attributes:
        results: large results that the driver does not have.
        items: of this node.
    """

    def __init__(
        self,
        manager_id: ManagerId,
        poller: sockets.Poller,
        tasks: IncompleteTasks,
        items: NodeItems,
        peers: Peers,
        patience: Seconds,
    ) -> None:
        self.results = KeptResults(manager_id, patience)
        self.items = items
        self._peers = peers
        self._context: Any = None
        self._serving: Optional[Serving] = None
        self._has_announced = False
        poller.register(items.source, sockets.READABLE)
        self._identity = with_bulk_suffix(manager_id)
        self._poller = poller
        self._tasks = tasks
        self._dealer: Optional[sockets.AnySocket] = None
        self._malformed = MalformedMessageLimit()

    @property
    def is_last(self) -> bool:
        """True if the manager has nothing else to do than to keep what others may want."""
        return self.results.is_last

    @is_last.setter
    def is_last(self, value: bool) -> None:
        self.results.is_last = self.items.is_last = value

    @property
    def next_deadline(self) -> Seconds:
        """Time to call `flush`, or `take_unwanted` of the results."""
        return min(self._tasks.next_deadline, self.items.next_deadline, self.results.next_deadline)

    def connect(self, context: Any, endpoint: str, curve: Optional[tuple[str, str, str]]) -> None:  # noqa: ANN401 - ZeroMQ's
        """Connect to *endpoint*; what was on its way over another connection is wanted again."""
        self._context = context
        self._dealer = sockets.connect_dealer(context, endpoint, self._identity, curve)
        self._poller.register(self._dealer.raw, sockets.READABLE)
        self._on_connected(is_local=endpoint.startswith("ipc://"))

    def listen(self, context: Any, socket: sockets.ListeningSocket) -> None:  # noqa: ANN401 - the same
        """Use *socket*, to which the interchange connects."""
        self._context = context
        self._dealer = socket
        self._poller.register(socket.raw, sockets.READABLE)

    def on_connected(self) -> None:
        """Want again what was on its way: the interchange has connected anew."""
        self._on_connected(is_local=False)

    def disconnect(self, linger: float) -> None:
        """Close the connection."""
        if self._dealer is not None:
            self._poller.unregister(self._dealer.raw)
            self._dealer.close(linger)
            self._dealer = None

    @property
    def keeps(self) -> bool:
        """True while something is kept that others may want."""
        return bool(len(self.results) or self.items.keeps)

    def kept(self) -> list[bytes]:
        """Names of all that is kept."""
        return [*self.results.blobs(), *self.items.kept]

    def release(self, blobs: Sequence[bytes]) -> None:
        """Keep *blobs* no longer."""
        self.results.release(blobs)
        self.items.release(blobs)

    def take_unwanted(self, now: Seconds) -> list[bytes]:
        """Drop what is in the way and nobody has wanted for long; return its names."""
        return [*self.results.take_unwanted(now), *self.items.take_unwanted(now)]

    def close(self) -> None:
        """End; log what an orderly end leaves nothing of."""
        self._poller.unregister(self.items.source)
        self._peers.close()
        self.items.close()
        if len(self.results) or self._tasks.has_blobs:
            logger.info("%d blobs of results were left, and arguments: %s", len(self.results), self._tasks.has_blobs)
        if self.items.kept:
            logger.info("%d files and values that tasks have left go with this manager", len(self.items.kept))

    def receive(self, ready: dict[Any, int], now: Seconds) -> bool:
        """Handle the messages that have arrived; return whether tasks may have become complete, or lost."""
        has_files_news = self.items.source in ready
        if has_files_news:
            self.items.follow_files()
        for source in self._peers.receive(ready, now, self._on_item_chunk, self._on_want):
            self.items.ask_again(source)
        if self._dealer is None or self._dealer.raw not in ready:
            return has_files_news or self.items.tasks.has_news  # of a task of this turn, whose item is lost already
        for frames in self._dealer.receive(_MOST_MESSAGES):
            try:
                self._handle(frames, now)
            except msg.MALFORMED as error:
                if self._malformed.on_malformed("interchange", now):
                    logger.warning("dropped a malformed message about a blob: %s", error)
        return True

    def flush(self, now: Seconds) -> None:
        """Ask for pieces of arguments and items, as many as the windows take."""
        if now >= self._tasks.next_deadline:
            self._tasks.on_tick(now)
        self.items.carry_out_orders()
        if self._dealer is not None:
            for want in self._tasks.next_wants(now):
                self._dealer.send([msg.encode(want)])
            for want in self.items.next_wants(now):
                if not (want.source and self._peers.send(want, now)):
                    self._dealer.send([msg.encode(want)])
            if self.items.keeps and not self._has_announced:
                self._announce(self._dealer)

    def _announce(self, dealer: sockets.AnySocket) -> None:
        """Let other managers ask this one directly for what it keeps."""
        self._has_announced = True
        if self._serving is None:
            self._serving = self._peers.serve(self._context)
        if self._serving is not None:
            dealer.send([msg.encode(self._serving)])

    def _on_item_chunk(self, chunk: Chunk, data: Any, now: Seconds) -> None:  # noqa: ANN401 - a frame
        if self.items.awaits(chunk.blob):
            self.items.on_chunk(chunk, data, now)

    def _on_want(self, want: Want, now: Seconds, reply: Reply) -> None:
        if not self.items.on_want(want, now, reply):
            reply(*self.results.on_want(want, now))

    def _on_connected(self, *, is_local: bool) -> None:
        self._has_announced = False  # to an interchange that was restarted
        self._tasks.on_connected(is_local=is_local)
        self.items.on_connected(is_local=is_local)

    def _send(self, reply: Union[Chunk, Gone], content: Any) -> None:  # noqa: ANN401 - bytes, or None
        if self._dealer is not None:  # else it is wanted again over the next connection
            self._dealer.send([msg.encode(reply)] if content is None else [msg.encode(reply), content])

    def _handle(self, frames: Sequence[Any], now: Seconds) -> None:
        """Handle one message.

        Raises:
            ValueError: the interchange never sends this.
        """
        head, *attached = frames
        message = decode_lane(head)
        if isinstance(message, Want):
            self._on_want(message, now, self._send)
            return
        if isinstance(message, Serving):
            self._peers.on_serving(self._context, message)
            return
        receiver = self.items if self.items.awaits(message.blob) else self._tasks
        if isinstance(message, Chunk):
            (data,) = attached
            receiver.on_chunk(message, getattr(data, "buffer", data), now)
        else:
            receiver.on_gone(message)
