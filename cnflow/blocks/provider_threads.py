"""Calls of a provider from the threads of `cnflow.blocks.lanes`; each answer is an event, one call of a kind is out.

::

    controller's thread:   submit(make) ──> is_submitting ──────────────────────────> taken(Submitted) ──> free again
    thread of the lane:         └──> make requests ──> Requested ──> Provider.submit ──> Submitted ──┘
                                query(asked, find) ──> Provider.find ──> Listed, Provider.status ──> Reported
                                cancel(natives) ─────> Provider.cancel ──> Cancelled
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

from cnflow.blocks.events import Cancelled, Event, Listed, LogRead, Reported, Requested, Submitted, Watching
from cnflow.blocks.provider_calls import ProviderFaultError
from cnflow.errors import BlockRejectedError, CnflowError, ProviderBusyError
from cnflow.log_tail import quoted, quoted_tail
from cnflow.model.block import Refusal
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from cnflow.blocks.lanes import Lanes
    from cnflow.blocks.provider_calls import ProviderCalls
    from cnflow.ids import BlockId, NativeId, RunId
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest, Refused

logger = logging.getLogger(__name__)

_LOG_LINES = 10


class Search(NamedTuple):
    """Subject of `Provider.find`."""

    run: RunId
    executor: str


class ProviderThreads:
    """Calls one provider without waiting; see the module. Used from the controller's thread.

    Args:
        calls: of the provider.
        lanes: threads of the calls.
        put: takes the answers, from any thread.
        reads_logs: `Provider.logs` is the only way to a block's output.
    """

    def __init__(self, calls: ProviderCalls, lanes: Lanes, put: Callable[[Event], None], *, reads_logs: bool) -> None:
        self._calls = calls
        self._lanes = lanes
        self._put = put
        self._reads_logs = reads_logs
        self._cancel_lock = threading.Lock()
        """Keeps a cancel of blocks that started too late apart from one that is out."""

        self._requests: Sequence[BlockRequest] = ()
        """Requests of the last submission."""

        self.submitting_since: Seconds | None = None
        self.querying_since: Seconds | None = None
        self.cancelling_since: Seconds | None = None

    @property
    def is_calling(self) -> bool:
        """True while a call that submits, asks or cancels is out."""
        return (self.submitting_since, self.querying_since, self.cancelling_since) != (None, None, None)

    def on_event(self, event: Event) -> None:
        """Note that a call has returned, whose answer is *event*."""
        if isinstance(event, Submitted):
            self.submitting_since = None
        elif isinstance(event, Reported):
            self.querying_since = None
        elif isinstance(event, Cancelled):
            self.cancelling_since = None

    def submit(self, make_requests: Callable[[], Sequence[BlockRequest]], now: Seconds) -> None:
        """Make requests and submit them."""
        self.submitting_since = now

        def work() -> None:
            try:
                requests = self._requests = make_requests()
                self._put(Requested({request.block: request for request in requests}))
                answers = self._calls.submit(requests)
            except BaseException as error:  # noqa: BLE001 - part of the event; a silent end would be a hang
                self._put(Submitted({}, _as_cnflow_error(error, "submit")))
            else:
                self._put(Submitted(answers))

        self._lanes.submit.run(work)

    def query(self, asked: Mapping[BlockId, NativeId], search: Search | None, now: Seconds) -> None:
        """List blocks if there is a *search*, then ask for the status of those *asked* for."""
        self.querying_since = now

        def work() -> None:
            if search is not None:
                self._put(self._find(search, now))
            try:
                statuses = self._calls.status(list(asked.values())) if asked else {}
            except BaseException as error:  # noqa: BLE001 - as above
                self._put(Reported(now, asked, {}, _as_cnflow_error(error, "status")))
            else:
                self._put(Reported(now, asked, statuses))

        self._lanes.query.run(work)

    def cancel(self, natives: Collection[NativeId], now: Seconds) -> None:
        """End blocks and remove what is left of them."""
        self.cancelling_since = now
        self._lanes.cancel.run(lambda: self._put(self._cancel(natives)))

    def read_log(
        self, block: BlockId, native: NativeId | None, log_file: Path | None, is_wanted: Callable[[], bool]
    ) -> None:
        """Read the last lines of a block, unless they are not wanted any more by then."""

        def work() -> None:
            if is_wanted():
                self._put(LogRead(block, self._quoted_log(native, log_file)))

        self._lanes.logs.run(work)

    def watch(self, changed: Callable[[], None]) -> None:
        """Begin the provider's watch."""

        def work() -> None:
            try:
                stop = self._calls.watch(changed)
            except BaseException as error:  # noqa: BLE001 - as above
                self._put(Watching(None, _as_cnflow_error(error, "watch")))
            else:
                self._put(Watching(stop))

        self._lanes.logs.run(work)

    def end_watch(self, stop: Stop, label: str) -> None:
        """End the provider's watch."""

        def work() -> None:
            try:
                stop()
            except BaseException:  # the provider may be any code; its watch ends with the process
                logger.exception("the watch of executor %s's provider could not be ended", label)

        self._lanes.logs.run(work)

    def on_late(self, event: Event, label: str) -> None:
        """Cancel what an answer shows to have started after the end of the run; called from the thread of its lane."""
        natives: list[NativeId] = []
        if isinstance(event, Submitted):
            natives = self._started_late(event, label)
        elif isinstance(event, Listed):
            natives = list(event.found.values())
        elif isinstance(event, Watching) and event.stop is not None:
            event.stop()
        if not natives:
            return
        logger.warning("blocks of executor %s started after the end of the run; they are cancelled: %s", label, natives)
        for native, reason in self._cancel(natives).unconfirmed.items():
            logger.warning("the end of block %s of executor %s was not confirmed: %s", native, label, reason)

    def _started_late(self, event: Submitted, label: str) -> list[NativeId]:
        """Return the native ids of the blocks of a late answer; those without one are looked for."""
        if isinstance(event.error, (BlockRejectedError, ProviderBusyError)):
            return []
        natives = [answer for answer in event.answers.values() if isinstance(answer, str)]
        missing = {
            request.block: request for request in self._requests if not _is_clear(event.answers.get(request.block))
        }
        if missing:
            listed = self._find(Search(self._requests[0].run, label), Seconds(0.0))
            natives += listed.found.values()
            names = ", ".join(request.name for block, request in missing.items() if block not in listed.found)
            if names:
                why = listed.error or "the provider does not list them"
                logger.warning("the submission of blocks %s got no answer; they may run on: %s", names, why)
        return natives

    def close(self, last: Callable[[], None]) -> Future[None]:
        """End the threads; see `Lanes.close`."""
        return self._lanes.close(last)

    # The threads of the lanes

    def _find(self, search: Search, now: Seconds) -> Listed:
        try:
            return Listed(now, self._calls.find(search.run, search.executor))
        except BaseException as error:  # noqa: BLE001 - as above
            return Listed(now, {}, _as_cnflow_error(error, "find"))

    def _cancel(self, natives: Collection[NativeId]) -> Cancelled:
        try:
            with self._cancel_lock:
                return Cancelled(self._calls.cancel(list(natives)))
        except BaseException as error:  # noqa: BLE001 - as above
            failed = _as_cnflow_error(error, "cancel")
            return Cancelled(dict.fromkeys(natives, str(failed)), failed)

    def _quoted_log(self, native: NativeId | None, log_file: Path | None) -> str:
        if native is not None and self._reads_logs:
            lines = quoted(self._calls.logs(native, _LOG_LINES))
            if lines:
                return lines
        return quoted_tail(log_file) if log_file is not None else ""


def _is_clear(answer: NativeId | Refused | None) -> bool:
    """Return True if *answer* tells whether the block was started."""
    return isinstance(answer, str) or (answer is not None and answer.kind is not Refusal.UNKNOWN)


def _as_cnflow_error(error: BaseException, method: str) -> CnflowError:
    if isinstance(error, CnflowError):
        return error
    fault = ProviderFaultError(f"The provider failed: {method} raised {type(error).__name__}: {error}.")
    fault.__cause__ = error
    return fault
