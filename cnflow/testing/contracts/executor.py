"""Contract of an executor (`cnflow.interfaces.Executor`), to be run on every executor.

Subclass `ExecutorContract` in a test module, name the subclass ``Test...``, and override its fixtures::

    hook                       gives                                                      must be overridden
    ────────────────────────────────────────────────────────────────────────────────────────────────────────
    make_executor (fixture)    function: () -> new executor, not started                  yes
    patience (fixture)         seconds to wait for an outcome, by default 60              if the system is slow
    runs_commands              False where tasks of bash apps are not run                 if they are not
    stops_tasks                False where a task that runs cannot be cancelled           if it cannot

Life of an executor in these tests, and the calls that each part is about::

    make_executor ──> start ──> submit ──> report: each task exactly once ──> shutdown ──> shutdown again
          │             │          └── cancel: before, while and after the task runs            ^
          │             └── status, digest                                                      │
          └──────────────── shutdown of an executor that was not started ───────────────────────┘
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnflow.testing.task_driver import TaskDriver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cnflow.ids import TaskId
    from cnflow.interfaces import Executor

    MakeExecutor = Callable[[], Executor]


class ExecutorContract:
    """Promises of every executor; see the module for the hooks.

    For example, an executor that is installed as the package ``cnflow_abacus``::

        from cnflow.testing.contracts.executor import ExecutorContract
        from cnflow_abacus import AbacusBackend, AbacusExecutor
        from cnflow.ids import RunId
        from cnflow.interfaces import RunContext
        import pytest


        class TestAbacus(ExecutorContract):
            @pytest.fixture
            def make_executor(self, tmp_path):
                return lambda: AbacusBackend(AbacusExecutor(label="abacus"), RunContext(RunId("test"), tmp_path))
    """

    # Hooks

    runs_commands = True
    stops_tasks = True

    @pytest.fixture
    def make_executor(self) -> MakeExecutor:
        """Override: makes a new executor, which runs at least one task at a time; not started."""
        raise NotImplementedError

    @pytest.fixture
    def patience(self) -> float:
        """Seconds to wait for an outcome, a block to start included."""
        return 60.0

    # Helpers

    @pytest.fixture
    def driver(self, make_executor: MakeExecutor, patience: float) -> Iterator[TaskDriver]:
        """A started executor with its driver; shut down at the end, and checked for tasks that are reported twice."""
        executor = make_executor()
        try:
            driver = TaskDriver(executor, patience)
            yield driver
        finally:
            executor.shutdown()
        assert driver.reported_twice == []

    # Outcomes

    def test_task_returns_its_value(self, driver: TaskDriver) -> None:
        """A task gets its arguments, and its value is reported."""
        assert driver.value(driver.python(_adder(), 1, 2)) == 3

    def test_large_value_comes_back_whole(self, driver: TaskDriver) -> None:
        """Arguments and values of 8 MiB are not truncated."""
        content = os.urandom(2**20) * 8
        assert driver.value(driver.python(_identity(), content)) == content

    def test_exception_of_a_task_is_its_error(self, driver: TaskDriver) -> None:
        """The error is the function's exception, not one that wraps it."""
        error = driver.error(driver.python(_raiser(), "no rows"))
        assert type(error) is ValueError
        assert error.args == ("no rows",)

    def test_task_that_exits_is_reported_and_others_run_on(self, driver: TaskDriver) -> None:
        """SystemExit ends the task, and neither the driver nor the executor."""
        assert driver.error(driver.python(_exiter())) is not None
        assert driver.value(driver.python(_adder(), 1, 2)) == 3

    def test_every_task_of_a_batch_is_reported_once(self, driver: TaskDriver) -> None:
        """`submit` takes 200 tasks in one call."""
        tasks = driver.submit([driver.task(_identity(), number) for number in range(200)])
        assert [driver.value(task) for task in tasks] == list(range(200))

    def test_empty_batch_is_accepted(self, driver: TaskDriver) -> None:
        """`submit` and `cancel` accept no tasks."""
        driver.submit([])
        driver.cancel()

    def test_tasks_of_many_threads_are_reported_once(self, driver: TaskDriver) -> None:
        """`submit` is safe from any thread."""
        submitted: list[tuple[TaskId, int]] = []

        def submit_some(first: int) -> None:
            submitted.extend((driver.python(_identity(), number), number) for number in range(first, first + 25))

        threads = [threading.Thread(target=submit_some, args=(100 * number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(submitted) == 200
        assert [driver.value(task) for task, _ in submitted] == [number for _, number in submitted]

    def test_command_of_a_bash_app_runs(self, driver: TaskDriver, tmp_path: Path) -> None:
        """The result is the exit code; a failing command is an error."""
        if not self.runs_commands:
            pytest.skip("runs no commands")
        assert driver.value(driver.bash(f"echo done > {tmp_path}/out")) == 0
        assert (tmp_path / "out").read_text() == "done\n"
        assert driver.error(driver.bash("exit 3")) is not None

    # Cancellation

    def test_task_cancelled_before_its_submission_runs(self, driver: TaskDriver) -> None:
        """`cancel` ignores an unknown id, and a later task of this id runs."""
        task = driver.task(_adder(), 1, 2)
        driver.cancel(task.id)
        driver.submit([task])
        assert driver.value(task.id) == 3

    def test_task_cancelled_while_it_runs_is_stopped(self, driver: TaskDriver, tmp_path: Path, patience: float) -> None:
        """A cancelled task is reported with CancelledError, long before it would have ended."""
        if not self.stops_tasks:
            pytest.skip("stops no tasks")
        task = driver.python(_napper(), 10 * patience, str(tmp_path / "started"))
        _wait_for((tmp_path / "started").exists, patience)
        driver.cancel(task)
        assert isinstance(driver.error(task), CancelledError)
        assert driver.value(driver.python(_adder(), 1, 2)) == 3

    def test_task_cancelled_after_its_end_keeps_its_outcome(self, driver: TaskDriver) -> None:
        """`cancel` causes no second outcome, which the fixture `driver` checks."""
        task = driver.python(_adder(), 1, 2)
        assert driver.value(task) == 3
        driver.cancel(task)
        assert driver.value(driver.python(_adder(), 3, 4)) == 7
        assert driver.value(task) == 3

    def test_task_cancelled_at_any_moment_is_reported_once(self, driver: TaskDriver) -> None:
        """A cancelled task has one outcome, CancelledError or its own; other tasks return their values."""
        chance = random.Random(7)  # noqa: S311 - moments, no secrets
        cancelled, neighbours = [], []
        for _ in range(40):
            task = driver.python(_napper(), 0.005)
            neighbours.append(driver.python(_adder(), 1, 2))
            time.sleep(chance.uniform(0, 0.01))
            driver.cancel(task)
            cancelled.append(task)
        assert {type(driver.error(task)) for task in cancelled} <= {CancelledError, type(None)}
        assert [driver.value(task) for task in neighbours] == [3] * 40

    # State

    def test_status_names_the_executor(self, driver: TaskDriver) -> None:
        """`status` has the label and image at any time, also before there is a worker."""
        status = driver.executor.status()
        assert (status.label, status.image) == (driver.executor.label, str(driver.executor.image))
        assert driver.value(driver.python(_adder(), 1, 2)) == 3
        assert driver.executor.status().workers > 0

    def test_start_does_not_wait_for_workers(self, make_executor: MakeExecutor, patience: float) -> None:
        """`start` returns within 5 s, however long the first worker takes."""
        executor = make_executor()
        try:
            begun = time.monotonic()
            TaskDriver(executor, patience)
            assert time.monotonic() - begun < 5
        finally:
            executor.shutdown()

    def test_digest_is_known_by_the_end(self, make_executor: MakeExecutor) -> None:
        """`digest` is done at the latest by `shutdown`, is never an error, and is empty on the bare node."""
        for is_started in (False, True):
            executor = make_executor()
            if is_started:
                TaskDriver(executor)
            executor.shutdown()
            assert executor.digest.done()
            assert isinstance(executor.digest.result(0), str)
            if not executor.image:
                assert executor.digest.result(0) == ""

    def test_digest_cannot_be_cancelled(self, driver: TaskDriver) -> None:
        """`digest` cannot be cancelled, because tasks of caching apps wait for it."""
        assert not driver.executor.digest.cancel()

    # End

    def test_shutdown_reports_every_task(self, make_executor: MakeExecutor, patience: float) -> None:
        """`shutdown` returns after all reports: errors of waiting tasks, and outcomes of the others."""
        driver = TaskDriver(make_executor(), patience)
        tasks = driver.submit([driver.task(_napper(), 0.02) for _ in range(100)])
        driver.executor.shutdown()
        assert [task for task in tasks if not driver.is_reported(task)] == []
        assert driver.reported_twice == []

    def test_shutdown_can_be_called_twice(self, driver: TaskDriver) -> None:
        """The second call does nothing."""
        assert driver.value(driver.python(_adder(), 1, 2)) == 3
        driver.executor.shutdown()
        driver.executor.shutdown()
        assert isinstance(driver.executor.status().workers, int)

    def test_shutdown_without_a_start_returns(self, make_executor: MakeExecutor) -> None:
        """`shutdown` accepts an executor that was not started, also twice."""
        executor = make_executor()
        executor.shutdown()
        executor.shutdown()

    def test_shutdown_leaves_no_thread_process_or_descriptor(
        self, make_executor: MakeExecutor, patience: float
    ) -> None:
        """`shutdown` restores the threads, processes and, from the second use on, descriptors of before."""
        for is_warm in (False, True):
            threads, children, descriptors = set(threading.enumerate()), _children(), _descriptors()
            driver = TaskDriver(make_executor(), patience)
            assert driver.value(driver.python(_adder(), 1, 2)) == 3
            driver.executor.shutdown()
            del driver
            assert {thread for thread in threading.enumerate() if thread.is_alive()} <= threads
            assert _children() <= children
            assert not is_warm or _descriptors() <= descriptors


# Each function is made when it is used: a local function travels whole to workers that do not have this module.


def _adder() -> Callable[[int, int], int]:
    return lambda a, b: a + b


def _identity() -> Callable[[Any], Any]:
    return lambda value: value


def _raiser() -> Callable[[str], None]:
    def fail(message: str) -> None:
        raise ValueError(message)

    return fail


def _exiter() -> Callable[[], None]:
    def leave() -> None:
        raise SystemExit(3)

    return leave


def _napper() -> Callable[..., float]:
    def nap(seconds: float, started: str = "") -> float:
        import pathlib  # noqa: PLC0415 - runs elsewhere
        import time  # noqa: PLC0415 - the same

        if started:
            pathlib.Path(started).touch()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.005)  # in pieces: a thread is stopped between two of them
        return seconds

    return nap


def _wait_for(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the task did not start in time"
        time.sleep(0.01)


def _children() -> set[str]:
    """Ids of the child processes of this process, those of each of its threads (proc(5))."""
    found: set[str] = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has ended
            found |= set((thread / "children").read_text().split())
    return found


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
