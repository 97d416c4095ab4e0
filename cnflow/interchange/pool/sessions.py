"""Sessions of all clients of a pool, as its loop serves them: who may do what, and what reaches whom.

::

    ClientPort ── OPEN ──> new, or the session of that name goes on ──> ClientSession
    ClientSession ── messages ──> handle ──> PoolInterchange: tasks, cancellations
                                         ├─> BlobOwners, BulkLink: arguments; parts of results, of its own tasks only
                                         └─> an order that is the owner's alone: ignored
    ForClient ──> perform ──> the client's link
    Stop, away for too long, malformed, key withdrawn ──> forgotten, with its tasks
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any, Union

from cnflow.ids import ManagerId
from cnflow.interchange import actions as on
from cnflow.interchange.large_results import INTERCHANGE
from cnflow.interchange.pool.actions import ForClient, PoolAction, ReleaseResults, ReportNoWorkers
from cnflow.interchange.pool.blobs import BlobOwners
from cnflow.interchange.pool.client_port import ClientPort
from cnflow.interchange.pool.session import ClientSession
from cnflow.interchange.pool.state import NO_TASK
from cnflow.interchange.sending import send_results
from cnflow.model.interchange_settings import ATTACHED, GONE, STARTED
from cnflow.units import Seconds
from cnflow.wire import messages as msg
from cnflow.wire.bulk import Chunk, Gone, Release, Unreleased, Want, with_bulk_suffix
from cnflow.wire.function_messages import Prepare, Prepared
from cnflow.wire.manager_messages import Events, NoWorkers, StatusQuery, TaskQuery, TaskReport, WorkerNote
from cnflow.wire.parcels import attach_frames
from cnflow.wire.peer_messages import Serving, decode_lane
from cnflow.wire.session import IDENTITY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnflow.interchange.manager_link import ManagerLink
    from cnflow.interchange.manager_numbers import ManagerNumbers
    from cnflow.interchange.pool.client import ClientId
    from cnflow.interchange.pool.state import PoolInterchange
    from cnflow.model.pool_settings import PoolInterchangeSettings
    from cnflow.wire.message_pipe import MessagePipe
    from cnflow.wire.pool_opening import Opening

logger = logging.getLogger(__name__)

_MOST_SESSIONS = 100
"""Sessions of one client."""

_MOST_QUERIES = 10_000
"""Questions about tasks that wait for a reply."""

_MALFORMED = (*msg.MALFORMED, IndexError)


class ClientSessions:
    """The sessions; the module has a picture.

    Args:
        settings: of the pool.
        state: of the pool.
        managers: connections to the managers.
        numbers: of managers, in results.

    Attributes:
        port: that clients connect to.

    Raises:
        OSError: its address cannot be bound.
    """

    def __init__(
        self, settings: PoolInterchangeSettings, state: PoolInterchange, managers: ManagerLink, numbers: ManagerNumbers
    ) -> None:
        self._settings = settings
        self._state = state
        self._managers = managers
        self._numbers = numbers
        self._sessions: dict[ClientId, ClientSession] = {}
        self._owners = BlobOwners()
        self._queries: dict[int, tuple[ClientId, int]] = {}
        """Client and its number of the questions about tasks, by the number that managers know."""

        self._query_numbers = itertools.count(1)
        self._later: list[PoolAction] = []
        """What follows from the beginnings and ends of sessions."""

        self._now = Seconds(0.0)
        """Moment of the present turn of the loop."""

        self.port = ClientPort(settings, self._admit)

    # Turns of the loop

    def receive(self, ready: Mapping[Any, int], now: Seconds) -> Iterator[PoolAction]:
        """Read what has arrived, and yield what follows from it; exhaust the iterator."""
        self._now = now
        touched = self.port.receive(ready, now)
        later, self._later = self._later, []
        yield from later
        for session in list(self._sessions.values()):
            yield from self._receive_of(session, touched, now)
            session.pace()
            session.record.is_connected = not session.link.is_away
            session.record.is_full = session.link.is_full

    def _receive_of(self, session: ClientSession, touched: set[int], now: Seconds) -> Iterator[PoolAction]:
        end = ""
        try:
            for message, attached in session.receive(touched, now):
                if isinstance(message, msg.Stop):
                    session.link.acknowledge()
                    end = "it has ended"
                elif not end:
                    yield from self._handle(session, message, attached, now)
        except _MALFORMED as error:
            end = f"it sends what no driver sends: {error}"
        except Exception:  # whatever it was: the others are served on
            logger.exception("client %s cannot be served", session.record.name)
            end = "a fault of the pool"
        if end or session.link.is_over(now):
            yield from self._forget(session, end or "it did not connect again", now)

    def due(self, other: Seconds, now: Seconds) -> Seconds:
        """Moment at which to go on, if that is before *other*."""
        for session in self._sessions.values():
            other = now if session.has_more else session.bulk.due(other, now)
        return other

    def flush(self, now: Seconds) -> None:
        """Send the clients what they wait for, as far as their links have room."""
        for session in self._sessions.values():
            _send_held_results(session)
            session.bulk.flush(now)

    def on_tick(self, now: Seconds) -> None:
        """Send heartbeats, and give up connections that are silent."""
        for session in self._sessions.values():
            session.link.on_tick(now)

    def on_keys(self, now: Seconds) -> list[PoolAction]:
        """Look at the keys; forget the clients whose key is gone."""
        if not self.port.read_keys():
            return []
        actions: list[PoolAction] = []
        for session in list(self._sessions.values()):
            key = self.port.keys.get(session.record.name)
            if key is None:
                actions += self._forget(session, "its key was withdrawn", now)
            else:
                session.record.weight = key.weight
        return actions

    def close(self) -> None:
        """Drop everything."""
        for session in self._sessions.values():
            session.close()
        self.port.close()

    # Beginnings and ends

    def _admit(self, opening: Opening, name: str, pipe: MessagePipe) -> tuple[str, str]:
        """See `cnflow.interchange.pool.client_port.ClientPort`."""
        if len(bytes.fromhex(opening.session)) != IDENTITY_BYTES:
            raise ValueError("the session has no identity")
        found = {session.record.session: session for session in self._sessions.values()}
        session, replaced = found.get(opening.session), found.get(opening.replaces)
        if replaced is not None and replaced.record.name == name:
            self._later += self._forget(replaced, "its driver begins anew", self._now)
        if session is None and not opening.is_new:
            return GONE, ""
        if session is None:
            if sum(each.record.name == name for each in self._sessions.values()) >= _MOST_SESSIONS:
                return "", f"client {name!r} has {_MOST_SESSIONS} sessions: end some of its drivers"
            try:
                session = self._begin(opening.session, name)
            except OSError as error:
                return "", f"the pool has no room for another session: {error.strerror or error}"
        elif session.record.name != name:
            return "", "the session is one of another client"
        session.offer(pipe)
        return STARTED if opening.is_new else ATTACHED, ""

    def _begin(self, identity: str, name: str) -> ClientSession:
        """Begin a session.

        Raises:
            OSError: its folder cannot be made; nothing is left of it.
        """
        record, actions = self._state.on_client(identity, name, self.port.keys[name].weight, self._now)
        try:
            session = ClientSession(
                record,
                self._settings,
                self.port.next_number(),
                self._managers,
                self._owners,
                self._now,
            )
        except OSError:
            self._state.on_client_gone(record.id, self._now)
            raise
        self._sessions[record.id] = session
        session.bulk.on_fetched = lambda parts: self._owners.release_results(record.id, parts.source, parts.blobs)
        session.link.send(msg.Bound(0))
        self._later += actions
        logger.info("client %s begins session %s", name, identity)
        return session

    def _forget(self, session: ClientSession, reason: str, now: Seconds) -> list[PoolAction]:
        client = session.client
        if self._sessions.pop(client, None) is None:
            return []
        record = session.record
        logger.info(
            "client %s, session %s, is over, with %d tasks: %s", record.name, record.session, record.queued, reason
        )
        kept = self._owners.on_client_gone(client)
        actions = self._state.on_client_gone(client, now)
        session.close()
        return [*actions, *(release for source, blobs in kept.items() for release in self._releases(source, blobs))]

    def _releases(self, source: bytes, blobs: list[bytes]) -> list[PoolAction]:
        """Release *blobs* of *source*, of which managers may have copies."""
        had = self._state.scheduler.places.release(blobs)
        if source:
            had[ManagerId(source)] = blobs
        return [ReleaseResults(manager, some, source) for manager, some in had.items()]

    # Messages of clients

    def _handle(
        self, session: ClientSession, message: msg.ToInterchange, attached: Sequence[Any], now: Seconds
    ) -> list[PoolAction]:
        """Handle *message*.

        Raises:
            ValueError: no driver sends it.
        """
        client = session.client
        if isinstance(message, (msg.Work, msg.Resubmit)):
            tasks = attach_frames(message.tasks, attached)
            self._owners.on_tasks(client, tasks)
            session.bulk.on_tasks(tasks)
            self._state.on_submitted(client, message.functions, tasks, forgets=message.forgets)
            return []
        if isinstance(message, msg.Cancel):
            return self._state.on_cancelled(client, message.tasks, now)
        if isinstance(message, Prepare):
            return self._state.on_prepare(client, message.functions)
        if isinstance(message, (Want, Chunk, Gone)):
            self._on_blob(session, message, attached, now)
        elif isinstance(message, Release):
            self._on_release(session, message)
        elif isinstance(message, StatusQuery):
            session.link.send(self._state.status_report(client, message, now))
        elif isinstance(message, TaskQuery):
            return self._ask(client, message, now)
        elif isinstance(message, msg.IdleTimesQuery):
            session.link.send(msg.IdleTimes({}))
        else:
            logger.debug("client %s orders %s, which is the owner's alone", session.record.name, type(message).__name__)
        return []

    def _on_blob(
        self, session: ClientSession, message: Union[Want, Chunk, Gone], attached: Sequence[Any], now: Seconds
    ) -> None:
        source = message.source
        if isinstance(message, Want) != bool(source) or isinstance(message, Chunk) != (len(attached) == 1):
            raise ValueError("a message about a blob that no driver sends")
        if source not in (b"", INTERCHANGE) and self._owners.result_of(source, message.blob) != session.client:
            session.link.send_unnumbered(Gone(message.blob, source, "the pool has no such part of a result"))
        else:
            session.bulk.on_driver_message(message, attached, now)

    def _on_release(self, session: ClientSession, release: Release) -> None:
        client, source, blobs = session.client, release.source, release.blobs
        if not source:
            blobs = self._owners.release_arguments(client, blobs)
        elif source != INTERCHANGE:
            blobs = self._owners.release_results(client, source, blobs)
        if blobs:
            session.bulk.on_released(Release(source, blobs), self._state.scheduler.places.release(blobs))

    def _ask(self, client: ClientId, query: TaskQuery, now: Seconds) -> list[PoolAction]:
        task = self._state.number_of(client, query.task)
        if task == NO_TASK:
            return []
        number = next(self._query_numbers)
        self._queries[number] = client, query.number
        if len(self._queries) > _MOST_QUERIES:
            del self._queries[next(iter(self._queries))]
        asked = TaskQuery(number, query.manager, task)
        return self._state.route(self._state.scheduler.on_task_query(asked, now))

    # Messages for clients

    def perform(self, action: ForClient) -> None:
        """Send results or a report to a client."""
        session, what = self._sessions.get(action.client), action.action
        if session is None:
            return
        if isinstance(what, on.SendResults):
            self._owners.on_results(session.client, what.results)
            away = session.link.is_away
            send_results(session.link, session.bulk.results.hold(what.results) if away else what.results)
        elif isinstance(what, on.ReportManagerUp):
            session.link.send(msg.ManagerUp(what.manager, what.info, self._numbers.of(what.manager)))
        elif isinstance(what, ReportNoWorkers):
            session.link.send(NoWorkers(what.reason, what.is_final))
        else:
            _send_held_results(session)  # before the news of the loss
            session.link.send(msg.ManagerDown(what.manager, what.reason, what.lost))

    def on_manager_gone(self, manager: ManagerId) -> None:
        """Forget the parts of results that *manager* had."""
        self._owners.on_manager_gone(manager)
        for session in self._sessions.values():
            session.bulk.on_manager_gone(manager)

    def on_unreleased(self, report: on.ReportUnreleased) -> list[PoolAction]:
        """Have each client judge whether it needs its blobs; return the release of those that nobody waits for."""
        needless: list[bytes] = []
        for blob in report.blobs:
            client = self._owners.result_of(report.manager, blob)
            if client is None:
                needless.append(blob)
            else:
                self._sessions[client].link.send(Unreleased(report.manager, [blob]))
        return [ReleaseResults(report.manager, needless, report.manager)] if needless else []

    def on_task_report(self, report: TaskReport) -> None:
        """Send a manager's reply to the client that has asked."""
        client, number = self._queries.pop(report.number, (None, 0))
        if client in self._sessions:
            self._sessions[client].link.send(TaskReport(number, report.rank, report.seconds))

    def on_prepared(self, manager: ManagerId, prepared: Prepared) -> None:
        """Send the news of a model to the clients that want it to be loaded."""
        prepared.manager = self._numbers.of(manager)
        for client in self._state.models.clients_of(prepared.function):
            if client in self._sessions:
                self._sessions[client].link.send(prepared)

    def send_notes(self, message: Events, notes: Mapping[ClientId, list[WorkerNote]]) -> None:
        """Send each client the notes on its own tasks among those of *message*."""
        for client, own in notes.items():
            if client in self._sessions:
                self._sessions[client].link.send(Events(message.manager, message.block, message.host, own))

    def on_bulk_of_manager(self, manager: ManagerId, frames: Sequence[Any]) -> None:
        """Pass on a message about a blob to the client that it comes from, or is for.

        Raises:
            ValueError: no manager sends it.
        """
        message = decode_lane(frames[0])
        if isinstance(message, Serving):
            return  # managers serve several clients here: the interchange, which knows whose an item is, passes all on
        owners = self._owners
        source, blob = message.source, message.blob
        client = owners.result_of(source, blob) if source else owners.argument_of(blob)
        session = None if client is None else self._sessions.get(client)
        if session is not None:
            session.bulk.on_manager_message(manager, frames)
        elif isinstance(message, Want):
            gone = Gone(message.blob, message.source, "its driver has left the pool, or needs its task no more")
            self._managers.send_bulk([with_bulk_suffix(manager), msg.encode(gone)])


def _send_held_results(session: ClientSession) -> None:
    """Send the results whose large parts are here, or are the driver's own concern again."""
    held = session.bulk.results
    if held.is_holding and not session.link.is_away:
        held.on_driver_back()
    if ready := held.take_ready():
        send_results(session.link, ready)
