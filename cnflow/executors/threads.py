"""Runs tasks in threads of the driver."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from cnflow.errors import ExecutorClosedError
from cnflow.model.status import ExecutorStatus
from cnflow.model.task import Outcome, TaskToRun
from cnflow.worker.run import call, users_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.config import ThreadPoolExecutor
    from cnflow.interfaces import Report


class Threads:
    """Live half of `cnflow.config.ThreadPoolExecutor`; see `cnflow.interfaces.Executor`."""

    image = ""

    def __init__(self, settings: ThreadPoolExecutor) -> None:
        self.label = settings.label
        self._tasks: queue.SimpleQueue[TaskToRun | None] = queue.SimpleQueue()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"cnflow-{self.label}-{n}", daemon=True)
            for n in range(settings.max_threads)
        ]

    def start(self, report: Report) -> None:
        """Start the threads."""
        self._report = report
        for thread in self._threads:
            thread.start()

    def submit(self, tasks: Sequence[TaskToRun]) -> None:
        """Queue *tasks* for the first free thread."""
        for task in tasks:
            self._tasks.put(task)

    def status(self) -> ExecutorStatus:
        """The driver itself is the one block, each thread a worker."""
        return ExecutorStatus(self.label, "", 1, 1, len(self._threads))

    def shutdown(self) -> None:
        """Let running tasks end, drop waiting ones, end the threads; not waiting for the thread that calls this."""
        self._closing = True
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._report([self._run(task)])

    def _run(self, task: TaskToRun) -> Outcome:
        if self._closing:
            return Outcome(task.id, None, ExecutorClosedError(f"{task.title} was not run: the run was ended before."))
        try:
            return Outcome(task.id, call(task.app.kind, task.app.name, task.app.function, task.args, task.kwargs))
        except BaseException as error:  # noqa: BLE001 - SystemExit ends the task, not the thread
            return Outcome(task.id, None, error.with_traceback(users_part(error.__traceback__)))
