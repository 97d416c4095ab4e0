"""Connection of the manager to its interchange: a session over connections that come and go.

::

    open ──> connected ── lost: reset, closed, or the interchange ended ──> connects again, at the same address
                │  ^                                                           │
                │  │                                                           v
                │  └──────────── answer to RESUME: what was lost is sent again ┘
                │
                ├── silence for `_RECONNECT_SHARE` of the threshold, as when a gateway has forgotten the connection, a
                │   cable is cut or the interchange has another address:
                │       addresses are probed anew ──> connects again, and again after as long
                │
                ├── RegisterAgain: the interchange was restarted ──> new session: Register, then what was kept
                │
                └── silence for the whole threshold, or for as long as the run may be adopted ──> `failure`

A manager that listens (`listener`) makes no connection: it waits for that of the interchange, which makes it again when
it is lost, or silent for as long. Each time the session asks for what is missing.

Messages are kept until the driver has them, so that none is lost with a connection or with an interchange. Each
connection has a socket of its own, so that nothing of an earlier one is left in its queue.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable, Optional

from cnflow.ids import ManagerId
from cnflow.manager.endpoint_probe import EndpointProbe
from cnflow.manager.errors import CannotListenError
from cnflow.manager.registration import find_endpoint, remove_deserted_folder
from cnflow.units import Seconds
from cnflow.wire import messages as msg
from cnflow.wire import sockets
from cnflow.wire.parcels import detach_frames
from cnflow.wire.peer_limits import MalformedMessageLimit
from cnflow.wire.session import Session, SessionError, new_identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.manager.bulk_link import BulkLink
    from cnflow.manager.listener import Listener
    from cnflow.model.manager_settings import ManagerSettings

    Handler = Callable[[msg.ToManager, Sequence[Any], Seconds], None]

logger = logging.getLogger(__name__)

_RECONNECT_SHARE = 1 / 3
"""Share of the threshold after which a silent connection is replaced; never less than `_PERIODS` periods."""

_PERIODS = 1.25
"""Heartbeats of the interchange arrive once a period at the least."""

_RETRY_PERIOD = Seconds(0.5)
"""Shortest time between two connections that were lost before the interchange sent anything."""


class InterchangeLink:
    """The manager's end of the connection; the module has a picture.

    Args:
        settings: of the manager.
        manager_id: routing id of all connections.
        poller: the loop's; the link registers its sockets.
        now: the moment.
        bulk: connection for blobs, which follows this one.

    Attributes:
        failure: reason why the manager cannot go on with this interchange; empty if there is none.
    """

    def __init__(
        self,
        settings: ManagerSettings,
        manager_id: ManagerId,
        poller: sockets.Poller,
        now: Seconds,
        bulk: Optional[BulkLink] = None,
    ) -> None:
        self._bulk = bulk
        self._settings = settings
        self._manager_id = manager_id
        self._poller = poller
        self._context = sockets.new_context()
        self._probe = EndpointProbe(settings)
        self._session = Session(new_identity())
        self._former = b""
        """Identity of the session before: requests to register again may arrive twice."""

        self._malformed = MalformedMessageLimit()
        self._silence_limit = max(settings.heartbeat_threshold * _RECONNECT_SHARE, settings.heartbeat_period * _PERIODS)
        self._last_received = self._last_sent = self._last_attempt = self._lost_at = now
        self._connect_at: Optional[Seconds] = None
        self._endpoint = ""
        self._dealer: Optional[sockets.AnySocket] = None
        self._monitor: Optional[sockets.ConnectionMonitor] = None
        self._is_connected = self._has_heard = False
        self._listener: Optional[Listener] = None
        if settings.listen is not None:
            from cnflow.manager.listener import Listener  # noqa: PLC0415 - most managers connect by themselves

            self._listener = Listener(settings.listen, settings.block, ManagerId(manager_id))
            self._session.on_disconnected()  # nothing can leave before the interchange has connected
        self.failure = ""

    def open(self) -> None:
        """Connect for the first time, or listen.

        Raises:
            UnreachableError: no address of the interchange accepts a connection.
            CannotListenError: no port is free, or the driver cannot be told which.
        """
        if self._listener is not None:
            self._listen(self._listener)
            return
        self._endpoint = find_endpoint(self._settings)
        self._poller.register(self._probe.source, sockets.READABLE)
        self._connect()

    @property
    def next_deadline(self) -> Seconds:
        """Time to call `on_tick`."""
        due = min(
            self._last_sent + self._settings.heartbeat_period,
            max(self._last_received, self._last_attempt) + self._silence_limit,
            self._last_received + self._settings.longest_silence,
        )
        return Seconds(due if self._connect_at is None else min(due, self._connect_at))

    @property
    def is_full(self) -> bool:
        """True while so much is unacknowledged that the manager should ask for no more tasks."""
        return self._session.is_full

    @property
    def is_all_delivered(self) -> bool:
        """True if the driver has all that was sent."""
        return self._session.delivered == self._session.sent

    def is_alone(self, now: Seconds, seconds: float) -> bool:
        """True if no connection has been there for *seconds*, and no result waits for one."""
        is_lost = not self._is_connected and now - self._lost_at >= seconds
        return is_lost and not self.unacknowledged_results()

    def unacknowledged_results(self) -> list[msg.Result]:
        """Results that the driver may not have."""
        kept = [msg.decode_from_manager(frames[0]) for frames in self._session.unacknowledged()]
        return [result for message in kept if isinstance(message, msg.Done) for result in message.results]

    def send(self, message: msg.FromManager, attached: Sequence[Any], now: Seconds) -> None:
        """Send *message* and keep it until it is acknowledged; *attached* must not change before."""
        self._put(self._session.send([msg.encode(message), *attached]), now)

    @property
    def sent(self) -> int:
        """Number of the last message that was sent and is kept until it is acknowledged."""
        return self._session.sent

    @property
    def delivered(self) -> int:
        """Number of messages that were acknowledged."""
        return self._session.delivered

    def begin_session(
        self,
        register: msg.Register,
        now: Seconds,
        holding: Optional[msg.FromManager] = None,
        unfetched: Sequence[msg.ResultParcel] = (),
    ) -> None:
        """Register in a new session, and send once more what the driver may not have.

        Args:
            register: of this manager.
            now: the moment.
            holding: content of its tasks, for another driver.
            unfetched: results whose heads the driver before had, and not their parts.
        """
        kept = self._session.unacknowledged()
        self._former = self._session.identity
        self._session = Session(new_identity())
        self.send(register, (), now)
        if holding is not None:
            self.send(holding, (), now)
        for head, *attached in kept:
            done = msg.decode_from_manager(head)
            if isinstance(done, msg.Done):
                done.window = 0  # so that no task is sent before all results have arrived; the window follows
                self._put(self._session.send([msg.encode(done), *attached]), now)
        for parcel in unfetched:
            heads, frames = detach_frames([parcel])
            self.send(msg.Done(0, heads), frames, now)

    def receive(self, ready: dict[Any, int], handle: Handler, now: Seconds) -> None:
        """Pass each message that has arrived to *handle*, which may raise one of `cnflow.wire.messages.MALFORMED`."""
        if self._dealer is not None and self._dealer.raw in ready:
            self._read(self._dealer, handle, now)
        if self._monitor is not None and self._monitor.raw in ready:
            if self._listener is not None:
                self._follow_listener(self._monitor, handle, now)
            else:
                self._follow_connection(self._monitor, handle, now)
        if self._probe.source in ready:
            self._on_probed(self._probe.take())
        if self._session.is_due:
            for frames in self._session.take_due():
                self._put(frames, now)

    def on_late(self, seconds: float) -> None:
        """Count no silence of the last *seconds*: this process did not run, and could not hear the interchange."""
        self._last_received = Seconds(self._last_received + seconds)
        self._last_attempt = Seconds(self._last_attempt + seconds)

    def on_tick(self, now: Seconds) -> None:
        """Send a heartbeat, connect again, or search for the interchange if it is silent. Due at `next_deadline`."""
        if now - self._last_sent >= self._settings.heartbeat_period:
            self._last_sent = now
            self._put(self._session.send_unnumbered([msg.encode(msg.Heartbeat())]), now)
        if self._connect_at is not None and now >= self._connect_at:
            logger.warning("the connection to the interchange was lost; connecting again")
            self._connect()
        silence = now - self._last_received
        if silence >= self._settings.longest_silence:
            self.failure = self._describe_silence(silence)
            if self._settings.adoptable_for:
                remove_deserted_folder(self._endpoint)
        elif now - max(self._last_received, self._last_attempt) >= self._silence_limit:
            self._last_attempt = now
            if self._listener is not None:
                self._announce_again(self._listener)
                return
            logger.warning("the interchange was silent for %.1f s; searching for it", silence)
            self._probe.start()

    def close(self, linger: float) -> None:
        """Close; what is queued gets *linger* seconds to be sent."""
        if self._malformed.total:
            logger.warning("malformed messages in all: %d", self._malformed.total)
        if self._listener is not None:
            self._listener.close()
        self._disconnect(linger)
        self._context.term()

    def _read(self, dealer: sockets.AnySocket, handle: Handler, now: Seconds) -> None:
        for frames in dealer.receive():
            self._last_received, self._has_heard = now, True
            self._accept(frames, handle, now)
            if self.failure:
                return

    def _accept(self, frames: Sequence[Any], handle: Handler, now: Seconds) -> None:
        head, before = frames[0], self._session.received
        try:
            if head.startswith(self._session.identity):
                payload = self._session.on_received(frames)
                if payload is not None:
                    handle(msg.decode_to_manager(payload[0]), payload[1:], now)
            elif not (self._former and head.startswith(self._former)):
                self._accept_refusal(msg.decode_to_manager(head), handle, now)
        except msg.MALFORMED as error:
            if self._malformed.on_malformed("interchange", now, is_lost=self._session.received != before):
                logger.warning("dropped a malformed message of the interchange: %s", error)
            if self._malformed.is_ignored("interchange", now):
                self.failure = "the interchange sent too many malformed messages"

    @staticmethod
    def _accept_refusal(message: msg.ToManager, handle: Handler, now: Seconds) -> None:
        """Handle the only message without a session: an interchange of an earlier protocol refuses this manager.

        Raises:
            SessionError: it is another message.
        """
        if not isinstance(message, msg.Refused):
            raise SessionError("a message of no session")
        handle(message, (), now)

    def _follow_connection(self, monitor: sockets.ConnectionMonitor, handle: Handler, now: Seconds) -> None:
        for is_connected in monitor.read():
            if is_connected:
                self._is_connected, self._has_heard = True, False
                if not self._session.is_open:
                    self._session.on_connected()
            elif self._is_connected:  # else ZeroMQ tries again, and nothing was sent over this connection
                self._on_lost(handle, now)
                return

    def _listen(self, listener: Listener) -> None:
        self._dealer, self._monitor, bulk = listener.open(self._context, self._curve)
        for source in (self._dealer.raw, self._monitor.raw):
            self._poller.register(source, sockets.READABLE)
        if self._bulk is not None:
            self._bulk.listen(self._context, bulk)

    def _follow_listener(self, monitor: sockets.ConnectionMonitor, handle: Handler, now: Seconds) -> None:
        """Ask for what is missing over each new connection.

        No loss is followed: it may be that of a stranger, or of a connection that the next one has taken over, and what
        is sent before the interchange has connected again is kept.
        """
        if not any(monitor.read()):
            return
        assert self._dealer is not None
        self._read(self._dealer, handle, now)  # also makes ZeroMQ see the connection, so that it can be sent to
        if self._is_connected:
            self._session.on_disconnected()
            self._session.on_connected()
        else:
            self._is_connected = True
            kept, self._session = self._session.unacknowledged(), Session(self._session.identity)
            for frames in kept:
                self._put(self._session.send(frames), now)
        if self._bulk is not None:
            self._bulk.on_connected()

    @staticmethod
    def _announce_again(listener: Listener) -> None:
        try:
            listener.announce()
        except CannotListenError as error:
            logger.warning("%s", error)

    def _describe_silence(self, silence: float) -> str:
        if self._listener is None or self._is_connected:
            return f"the interchange was silent for {silence:.0f} s"
        return (
            f"no interchange has connected within {silence:.0f} s to this manager, which listens at {self._listener}. "
            "The machine of the interchange must reach one of these addresses; its log names those that it has tried, "
            "and if it names none, the driver does not see that folder: set Listen(folder=...)"
        )

    def _on_lost(self, handle: Handler, now: Seconds) -> None:
        assert self._dealer is not None
        self._read(self._dealer, handle, now)  # the last words of an interchange that has ended, such as Stop
        self._lost_at = now
        self._connect_at = now if self._has_heard else Seconds(now + _RETRY_PERIOD)
        self._disconnect(0.0)

    def _on_probed(self, endpoint: Optional[str]) -> None:
        """Connect to the address that answers now, unless none does or the connection that is there was heard again."""
        if endpoint is None or self._last_received > self._last_attempt:
            return
        self._endpoint = endpoint
        self._disconnect(0.0)
        self._connect()

    @property
    def _curve(self) -> Optional[tuple[str, str, str]]:
        settings = self._settings
        return (settings.server_key, settings.public_key, settings.secret_key) if settings.server_key else None

    def _connect(self) -> None:
        self._dealer, self._monitor = sockets.connect_monitored_dealer(
            self._context, self._endpoint, self._manager_id, self._curve
        )
        for source in (self._dealer.raw, self._monitor.raw):
            self._poller.register(source, sockets.READABLE)
        if self._bulk is not None:
            self._bulk.connect(self._context, self._endpoint, self._curve)
        self._connect_at = None

    def _disconnect(self, linger: float) -> None:
        """Close the socket; the session keeps what is sent until the next connection is there."""
        self._session.on_disconnected()
        self._is_connected = False
        if self._bulk is not None:
            self._bulk.disconnect(linger)
        if self._dealer is not None and self._monitor is not None:
            for source in (self._dealer.raw, self._monitor.raw):
                self._poller.unregister(source)
            self._monitor.close()
            self._dealer.close(linger)
        self._dealer = self._monitor = None

    def _put(self, frames: Sequence[Any], now: Seconds) -> None:
        if frames and self._dealer is not None:
            self._dealer.send(frames)
            self._last_sent = now
