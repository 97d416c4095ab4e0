"""Who is connected, as the driver knows it, and questions to the interchange about what it does not know."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from typing import TYPE_CHECKING

from cnflow.ids import ManagerId, TaskId
from cnflow.wire.manager_messages import StatusQuery, StatusReport, TaskQuery, TaskReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.wire.manager_messages import ManagerInfo

    Question = StatusQuery | TaskQuery
    Answer = StatusReport | TaskReport

_NO_TASK = TaskId(-1)
_ANSWER_WITHIN = 5.0
"""Seconds; an interchange answers in milliseconds, or is lost."""

_MANAGER_WITHIN = 2.0
"""Seconds; a manager may be frozen, or cut off."""


class ConnectedManagers:
    """The managers of one executor. Written by the line's thread, read by any.

    Args:
        ask: sends a question, if there is somebody to ask; says whether there is.

    Attributes:
        departed: managers that were lost.
    """

    def __init__(self, ask: Callable[[Question], bool]) -> None:
        self._ask = ask
        self._managers: dict[ManagerId, ManagerInfo] = {}
        self.departed: set[ManagerId] = set()
        self._blocks: dict[str, None] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._asked: dict[int, Future[Answer | None]] = {}
        self._is_closed = False

    def joined(self, manager: ManagerId, info: ManagerInfo) -> bool:
        """A manager registered; whether it is a new one, and none that came back to a restarted interchange."""
        is_new = manager not in self._managers
        self._managers[manager] = info
        self._blocks[info.block] = None
        return is_new

    def left(self, manager: ManagerId) -> ManagerInfo:
        """A manager is gone; what it was."""
        self.departed.add(manager)
        return self._managers.pop(manager)

    def managers(self) -> Mapping[ManagerId, ManagerInfo]:
        """The connected ones, at this moment; none once it is closed."""
        return {} if self._is_closed else dict(self._managers)

    @property
    def workers(self) -> int:
        """Slots of the connected managers."""
        return sum(info.slots for info in self.managers().values())

    @property
    def blocks(self) -> list[str]:
        """Blocks of which a manager ever connected, in that order."""
        return list(self._blocks)

    def standing(self, task: TaskId = _NO_TASK) -> StatusReport | None:
        """How the interchange says that things are, and where *task* is; None if nobody answers."""
        answer = self._answer(StatusQuery(next(self._numbers), task), _ANSWER_WITHIN)
        return answer if isinstance(answer, StatusReport) else None

    def task_on(self, manager: ManagerId, task: TaskId) -> TaskReport | None:
        """Whether *manager* runs *task*; None if it does not say."""
        answer = self._answer(TaskQuery(next(self._numbers), manager, task), _MANAGER_WITHIN)
        return answer if isinstance(answer, TaskReport) else None

    def answered(self, answer: Answer) -> None:
        """The interchange answered, or passed on what a manager did."""
        asked = self._asked.pop(answer.number, None)
        if asked is not None:
            asked.set_result(answer)

    def _answer(self, question: Question, seconds: float) -> Answer | None:
        answer: Future[Answer | None] = Future()
        with self._lock:
            if self._is_closed:
                return None
            self._asked[question.number] = answer
        try:
            return answer.result(seconds) if self._ask(question) else None
        except NoAnswer:
            return None
        finally:
            self._asked.pop(question.number, None)

    def close(self) -> None:
        """Nothing more will be answered; who waits gets None."""
        with self._lock:
            self._is_closed = True
        for number in list(self._asked):
            asked = self._asked.pop(number, None)
            if asked is not None:
                asked.set_result(None)
