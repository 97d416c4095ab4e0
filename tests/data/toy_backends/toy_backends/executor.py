"""Live half of `ToySerialExecutor`."""

from collections.abc import Collection, Sequence
from concurrent.futures import Future

from cnflow.errors import ExecutorClosedError
from cnflow.ids import TaskId
from cnflow.interfaces import Report, RunContext
from cnflow.model.status import ExecutorStatus
from cnflow.model.task import Outcome, TaskToRun
from toy_backends.settings import ToySerialExecutor


class ToySerialBackend:
    """Runs a task within `submit`, so that there is never one to cancel."""

    image = ""
    working_dir = ""

    def __init__(self, settings: ToySerialExecutor, run: RunContext) -> None:
        self.label = settings.label
        self.storage_access = settings.storage_access
        self.digest: Future[str] = Future()
        self.digest.set_result("")
        self._closed = False
        self._folder = run.run_dir / settings.label

    def start(self, report: Report) -> None:
        self._report = report
        self._folder.mkdir(parents=True)

    def submit(self, tasks: Sequence[TaskToRun]) -> None:
        for task in tasks:
            self._report([self._outcome(task)])

    def cancel(self, tasks: Collection[TaskId]) -> None:
        pass

    def status(self) -> ExecutorStatus:
        return ExecutorStatus(self.label, "", 1, 1, 1)

    def shutdown(self) -> None:
        self._closed = True

    def _outcome(self, task: TaskToRun) -> Outcome:
        if self._closed:
            return Outcome(task.id, None, ExecutorClosedError(f"{task.title} came after the end of the run."))
        try:
            return Outcome(task.id, task.app.function(*task.args, **task.kwargs))
        except BaseException as error:
            return Outcome(task.id, None, error)
