"""Calls of any provider: answers of a wrong type are left out, and an error that the seam forbids names the provider.

::

    controller ── submit, find, status, cancel, watch, logs ──> ProviderCalls ──> Provider, by anybody
        ▲                                                            │
        ├── answer of the promised shape ────────────────────────────┤
        ├── BlockError: the provider's own, passed through ──────────┤   names before submit, ids after it, ends
        │                                                            ├──> ExecutorLedger
        └── ProviderFaultError "SlurmBackend.status raised KeyError" ┘
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cnflow.errors import BlockRejectedError, CnflowError, ProviderBusyError
from cnflow.model.block import BlockStatus, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from cnflow.ids import BlockId, NativeId, RunId
    from cnflow.interfaces import Provider
    from cnflow.interfaces.provider import Stop
    from cnflow.ledger import ExecutorLedger
    from cnflow.model.block import BlockRequest

logger = logging.getLogger(__name__)


class ProviderFaultError(CnflowError):
    """A provider raised what its seam does not allow; the cause has the traceback."""


class ProviderCalls:
    """Calls one provider. Methods raise what `cnflow.interfaces.Provider` allows, and else `ProviderFaultError`.

    Args:
        provider: of this package or another.
        ledger: record of the blocks for other drivers; None keeps none.
    """

    def __init__(self, provider: Provider, ledger: ExecutorLedger | None = None) -> None:
        self._provider = provider
        self._ledger = ledger

    def submit(self, requests: Sequence[BlockRequest]) -> dict[BlockId, NativeId | Refused]:
        """Return the answer for each request; one of another type than promised is left out."""
        asked = [request.block for request in requests]
        if self._ledger is not None:
            self._ledger.on_submit(requests)
        try:
            with naming(self._provider, "submit"):
                answers: object = self._provider.submit(requests)
        except (ProviderBusyError, BlockRejectedError) as error:
            self._record(dict.fromkeys(asked, Refused.by(error)))
            raise
        if not isinstance(answers, Mapping):
            logger.warning("%s.submit returned %r, no mapping of answers", type(self._provider).__name__, answers)
            return {}
        checked = {block: answers[block] for block in asked if _is_answer(answers.get(block))}
        self._record(checked)
        return checked

    def _record(self, answers: Mapping[BlockId, NativeId | Refused]) -> None:
        if self._ledger is not None:
            self._ledger.on_answers(answers)

    def find(self, run: RunId, executor: str) -> dict[BlockId, NativeId]:
        """Return the blocks of one executor that the provider lists."""
        with naming(self._provider, "find"):
            found = {block: native for block, native in self._provider.find(run, executor).items() if native}
        if self._ledger is not None:
            self._ledger.on_found(found)
        return found

    def status(self, blocks: Collection[NativeId]) -> dict[NativeId, BlockStatus]:
        """Return the status of each block that the provider reports."""
        with naming(self._provider, "status"):
            statuses: Mapping[NativeId, object] = self._provider.status(blocks)
            return {native: status for native, status in statuses.items() if isinstance(status, BlockStatus)}

    def cancel(self, blocks: Collection[NativeId]) -> dict[NativeId, str]:
        """Return the blocks whose end was not confirmed, with reasons."""
        with naming(self._provider, "cancel"):
            unconfirmed = dict(self._provider.cancel(blocks) or {})
        if self._ledger is not None:
            self._ledger.on_cancelled(blocks, unconfirmed)
        return unconfirmed

    def watch(self, changed: Callable[[], None]) -> Stop | None:
        """Begin the provider's watch, if it has one."""
        with naming(self._provider, "watch"):
            return self._provider.watch(changed)

    def logs(self, block: NativeId, last: int) -> str:
        """Return the *last* lines that the first node of a block printed; empty if they cannot be read."""
        try:
            return bytes(self._provider.logs(block, 0, last)).decode(errors="replace")
        except BaseException as error:  # noqa: BLE001 - a block's end is reported without its output, too
            logger.debug("the log of block %s cannot be read: %s: %s", block, type(error).__name__, error)
            return ""


@contextlib.contextmanager
def naming(provider: object, method: str) -> Iterator[None]:
    """Turn an error that the seam does not allow into one that names provider and method.

    Raises:
        CnflowError: of the provider's own.
        ProviderFaultError: with the unexpected error as its cause.
    """
    try:
        yield
    except CnflowError:
        raise
    except BaseException as error:  # SystemExit included: it is no wish of the user's to end the thread
        where = f"{type(provider).__name__}.{method}"
        raise ProviderFaultError(
            f"The provider failed: {where} raised {type(error).__name__}: {error} (it may raise BlockError only)."
        ) from error


def _is_answer(answer: object) -> bool:
    return isinstance(answer, Refused) or (isinstance(answer, str) and answer != "")
