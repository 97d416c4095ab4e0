"""Carries out the transfers of a run: one thread calls Globus, as `state` decides."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from cnflow.errors import StagingError
from cnflow.staging.globus.client import GlobusCallError, GlobusClient, TransferOptions
from cnflow.staging.globus.events import Cancel, Copy, Done, Failed, Poll, Submit, Warn
from cnflow.staging.globus.state import Rules, TransferState
from cnflow.tasks.staging.steps import IN

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.clock import Clock
    from cnflow.staging.globus.credentials import Credentials
    from cnflow.staging.globus.events import Action
    from cnflow.staging.globus.paths import Place

logger = logging.getLogger(__name__)

_LONGEST_CLOSE = 20.0
"""Seconds that the end of a run waits for transfers to be cancelled."""


class _CopyFuture(Future[None]):
    describe_progress: Callable[[], str]
    """Describes how far the copy is, for people."""


_Event: TypeAlias = Copy | None


class Transfers:
    """Transfers of one run for one application; implements `cnflow.interfaces.StagingService`.

    Args:
        credentials: of the application.
        options: of its transfers.
        rules: of the machine.
        clock: for its times.
    """

    def __init__(self, credentials: Credentials, options: TransferOptions, rules: Rules, clock: Clock) -> None:
        self._credentials = credentials
        self._options = options
        self._clock = clock
        self._state = TransferState(rules)
        self._inbox: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._copies: dict[int, tuple[Copy, _CopyFuture]] = {}
        self._shared: dict[object, Future[Any]] = {}
        self._submissions: dict[int, str] = {}
        self._transfers: dict[int, str] = {}
        self._client: GlobusClient | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._why_closed = "the run has ended"

    def copy(
        self,
        source: Place,
        target: Place,
        *,
        is_folder: bool = False,
        sha256: str = "",
        step: str = IN,
        retries: int = 0,
    ) -> _CopyFuture:
        """Copy a file or folder. The future's error is a StagingError."""
        future = _CopyFuture()
        future.set_running_or_notify_cancel()
        with self._lock:
            copy = Copy(next(self._numbers), source, target, is_folder, sha256, step, retries)
            if self._is_closed:
                future.set_exception(_error(copy, self._why_closed))
                return future
            self._copies[copy.number] = copy, future
            future.describe_progress = lambda: self._state.progress(copy.number)
            self._inbox.put(copy)
            if self._thread is None:  # its name: callbacks of users run in it
                self._thread = threading.Thread(target=self._work, name="cnflow-globus", daemon=True)
                self._thread.start()
        return future

    def share(self, key: object, begin: Callable[[], Future[Any]]) -> Future[Any]:
        """Return the future of the copy that *key* names, which *begin* begins unless it is under way."""
        with self._lock:
            found = self._shared.get(key)
        if found is None:
            found = begin()
            with self._lock:
                self._shared[key] = found
            found.add_done_callback(lambda _: self._forget(key))
        return found

    def _forget(self, key: object) -> None:
        with self._lock:
            self._shared.pop(key, None)

    def close(self) -> None:
        """Cancel what goes on, and fail its futures."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is not None:
            self._inbox.put(None)
            if thread is not threading.current_thread():
                thread.join(_LONGEST_CLOSE)

    # In the thread

    def _work(self) -> None:
        try:
            while (event := self._next_event()) is not None:
                actions = self._state.on_copy(event, self._clock.now()) if isinstance(event, Copy) else []
                self._act(actions + self._state.tick(self._clock.now()))
            self._act(self._state.close())
        except Exception as error:  # a bug; nobody may wait for ever
            logger.exception("The transfers of Globus have ended by an error")
            self._why_closed = f"cnflow's own error: {error!r}"
        finally:
            with self._lock:
                self._is_closed = True  # nobody looks into the inbox any more
            self._fail_all(self._why_closed)
            if self._client is not None:
                self._client.close()

    def _next_event(self) -> _Event | str:
        """Return the next event, None at the end, or a text once the machine has something to do."""
        wait = self._state.deadline() - self._clock.now()
        try:
            return self._inbox.get(timeout=None if wait == float("inf") else max(wait, 0.0))
        except queue.Empty:
            return "due"

    def _act(self, actions: list[Action]) -> None:
        while actions:
            actions += self._carry_out(actions.pop(0))

    def _carry_out(self, action: Action) -> list[Action]:
        match action:
            case Done(number):
                self._settle(number, None)
            case Failed(number, words):
                self._settle(number, words)
            case Warn(words):
                logger.warning("Globus: %s", words)
            case Submit() | Poll():
                return self._call(action)
            case Cancel(batch):
                with suppress(GlobusCallError):  # it ends by itself, and nobody waits for it
                    self._connected().cancel(self._transfers[batch])
        return []

    def _call(self, action: Submit | Poll) -> list[Action]:
        batch = action.batch
        try:
            if isinstance(action, Poll):
                status = self._connected().status(self._transfers[batch])
                return self._state.on_status(batch, status, self._clock.now())
            client = self._connected()
            if batch not in self._submissions:  # a lost reply is asked for again by the same id
                self._submissions[batch] = client.new_submission()
            self._transfers[batch] = client.submit(action.copies, self._submissions[batch], self._options)
            logger.info("Globus transfer %s of %d files has begun", self._transfers[batch], len(action.copies))
            return self._state.on_submitted(batch, self._clock.now())
        except GlobusCallError as error:
            return self._state.on_problem(batch, error.problem, self._clock.now())

    def _connected(self) -> GlobusClient:
        if self._client is None:
            self._client = GlobusClient(self._credentials)
        return self._client

    def _settle(self, number: int, words: str | None) -> None:
        copy, future = self._copies.pop(number)
        with suppress(InvalidStateError):
            if words is None:
                future.set_result(None)
            else:
                future.set_exception(_error(copy, words))

    def _fail_all(self, words: str) -> None:
        for number in list(self._copies):
            self._settle(number, words)


def _error(copy: Copy, words: str) -> StagingError:
    url = str(copy.source if copy.step == IN else copy.target)
    return StagingError(f"Globus did not copy {copy.source} to {copy.target}: {words}", url=url, step=copy.step)
