"""Managers that are connected, and questions to the interchange about their present state.

::

    ManagerUp ──> on_connected ──> managers()         report(), task_on() ──> number ──> interchange (──> manager)
    ManagerDown ──> on_lost ──> departed                     <── on_answer(number) ───────────┘
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from typing import TYPE_CHECKING

from cnflow.executors.high_throughput.places import Places
from cnflow.ids import BlockId, ManagerId, TaskId
from cnflow.wire.manager_messages import StatusQuery, StatusReport, TaskQuery, TaskReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.executors.high_throughput.shared_arguments import SharedArguments
    from cnflow.ids import BlockId
    from cnflow.ledger import ExecutorLedger
    from cnflow.wire.manager_messages import ManagerInfo

    Question = StatusQuery | TaskQuery
    Answer = StatusReport | TaskReport

_NO_TASK = TaskId(-1)
_INTERCHANGE_TIMEOUT = 5.0
"""Seconds; an interchange answers in milliseconds, or is lost."""

_MANAGER_TIMEOUT = 2.0
"""Seconds; a manager may be frozen, or cut off."""

_MOST_BLOCKS = 10_000


class ConnectedManagers:
    """The managers of one executor. Written by the client's thread, read by any.

    Args:
        ask: sends a question; returns False if there is no interchange to answer it.
        places: takes what their tasks have in common.
        memory: takes large arguments where all of them share memory with this process; None where that cannot be.

    Attributes:
        is_closed: no manager is listed and no question answered any more.
    """

    def __init__(
        self, ask: Callable[[Question], bool], places: Places | None = None, memory: SharedArguments | None = None
    ) -> None:
        self._ask = ask
        self.places = Places("", "") if places is None else places
        self.memory = memory
        self._managers: dict[ManagerId, ManagerInfo] = {}
        self._admitted: dict[str, str] = {}
        """Blocks that are not over, and the public key of each; empty where connections are not encrypted."""

        self._departed: dict[str, set[ManagerId]] = {}
        """Managers that were lost, by block, as long as the block is not over."""
        self._blocks: dict[str, None] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._questions: dict[int, Future[Answer | None]] = {}
        """Questions without an answer, by number."""

        self.is_closed = False
        self.are_adoptable = False
        """True if managers outlive a driver that is killed."""

        self.ledger: ExecutorLedger | None = None
        """Record of the managers, for another driver; None keeps none."""

        self.has_adopted = False
        """Some were those of a killed driver, and may have its tasks."""

        self.adopted: dict[ManagerId, BlockId] = {}
        """Managers of a killed driver that have not registered yet."""

    def on_connected(self, manager: ManagerId, info: ManagerInfo, number: int = 0) -> bool:
        """Add a manager that registered; return False for one that only came back to a restarted interchange."""
        is_new = manager not in self._managers
        self.places.add(number, manager, info)
        if self.memory is not None:
            self.memory.on_manager(info)
        self._managers[manager] = info
        self._blocks[info.block] = None
        if is_new and self.adopted.pop(manager, None) is None and self.ledger is not None:
            self.ledger.on_manager_up(manager, info.block)
        if len(self._blocks) > _MOST_BLOCKS:
            del self._blocks[next(iter(self._blocks))]
        return is_new

    def on_lost(self, manager: ManagerId) -> ManagerInfo | None:
        """Remove a manager and return its description; None for one of a killed driver that did not register."""
        info, adopted = self._managers.pop(manager, None), self.adopted.pop(manager, None)
        block = info.block if info is not None else adopted
        if block is not None and block in self._admitted:
            self._departed.setdefault(block, set()).add(manager)
        if self.ledger is not None:
            self.ledger.on_manager_down(manager)
        return info

    def awaited(self) -> Mapping[ManagerId, BlockId]:
        """Managers that a restarted interchange is to expect, and the block of each."""
        return {**self.adopted, **{manager: info.block for manager, info in self.managers().items()}}

    def on_block_admitted(self, block: BlockId, key: str) -> None:
        """Note that managers of *block*, whose public key is *key*, may connect. Safe from any thread."""
        self._admitted[block] = key

    def on_block_gone(self, block: BlockId) -> None:
        """Keep nothing of *block*, whose managers may not connect any more. Safe from any thread."""
        self._admitted.pop(block, None)
        self._departed.pop(block, None)

    def admitted(self) -> dict[str, str]:
        """Blocks whose managers may connect, and the public key of each."""
        return dict(self._admitted)

    def departed(self) -> dict[ManagerId, str]:
        """Managers that were lost, and the block of each, as far as blocks are not over."""
        return {manager: block for block, managers in list(self._departed.items()) for manager in list(managers)}

    def on_answer(self, answer: Answer) -> None:
        """Hand an answer of the interchange, or of a manager, to the thread that asked."""
        waiting = self._questions.pop(answer.number, None)
        if waiting is not None:
            waiting.set_result(answer)

    def managers(self) -> Mapping[ManagerId, ManagerInfo]:
        """The connected managers at this moment; none once closed."""
        return {} if self.is_closed else dict(self._managers)

    @property
    def workers(self) -> int:
        """Workers of the connected managers."""
        return sum(info.slots for info in self.managers().values())

    @property
    def blocks(self) -> list[str]:
        """Blocks of which a manager ever connected, in that order; the last ten thousand."""
        return list(self._blocks)

    def report(self, task: TaskId = _NO_TASK) -> StatusReport | None:
        """State of the managers, and place of *task*, by the interchange; None if it does not answer."""
        answer = self._answer(StatusQuery(next(self._numbers), task), _INTERCHANGE_TIMEOUT)
        return answer if isinstance(answer, StatusReport) else None

    def task_on(self, manager: ManagerId, task: TaskId) -> TaskReport | None:
        """State of *task* by the manager that holds it; None if the manager does not answer."""
        answer = self._answer(TaskQuery(next(self._numbers), manager, task), _MANAGER_TIMEOUT)
        return answer if isinstance(answer, TaskReport) else None

    def _answer(self, question: Question, seconds: float) -> Answer | None:
        answer: Future[Answer | None] = Future()
        with self._lock:
            if self.is_closed:
                return None
            self._questions[question.number] = answer
        try:
            return answer.result(seconds) if self._ask(question) else None
        except NoAnswer:
            return None
        finally:
            self._questions.pop(question.number, None)

    def close(self) -> None:
        """List no manager from now on; every thread that waits for an answer gets None."""
        with self._lock:
            self.is_closed = True
        if self.memory is not None:
            self.memory.close()
        for number in list(self._questions):
            waiting = self._questions.pop(number, None)
            if waiting is not None:
                waiting.set_result(None)
