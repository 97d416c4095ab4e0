"""Executors of a run: the configured ones, those that the user adds, and those made on first use.

::

    configured ──start()──────────────────────────┐
    dfk.add_executors ──add(settings)─────────────┤
    first task of an image ──router, clone────────┼──> started; in `by_label` until the run ends
    first task of a join app ──make_joiner────────┘
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cnflow.dataflow import join_apps
from cnflow.dataflow.router import RoutableExecutor, Router
from cnflow.errors import ConfigurationError, ExecutorClosedError
from cnflow.interfaces import ReportsStaging
from cnflow.model.block import label_conflict
from cnflow.model.task import AppFunction, AppKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cnflow.config import ExecutorSettings
    from cnflow.dataflow.call_options import AppOptions
    from cnflow.dataflow.executor_factory import ExecutorFactory
    from cnflow.interfaces import Executor, Report
    from cnflow.model.image import Image
    from cnflow.model.task import StagingNote


class LiveExecutors:
    """Starts executors and chooses one for each task. Safe from any thread; never called with the graph's lock.

    A lock of its own is held while an executor is made and started, which a user's backend may do slowly. A choice
    among executors that exist takes no lock.

    Args:
        executors: executors that `start` starts.
        routes: descriptions of the configured executors for the router; templates for images included.
        factory: makes more executors while the run goes on.
        report: called by each executor with the outcomes of its tasks.
        on_staging: called by each executor with the steps of files that are moved.
        ignore_images: run every task on the bare node.

    Attributes:
        by_label: executors by label, the one for join apps included.
    """

    def __init__(
        self,
        executors: Sequence[Executor],
        routes: Sequence[RoutableExecutor],
        factory: ExecutorFactory,
        report: Report,
        on_staging: Callable[[StagingNote], None],
        *,
        ignore_images: bool,
    ) -> None:
        self.by_label: dict[str, Executor] = {executor.label: executor for executor in executors}
        self._lock = threading.RLock()
        self._is_closed = False
        self._router = Router(routes, self._add_clone, self._lock, ignore_images=ignore_images)
        self._factory = factory
        self._report = report
        self._on_staging = on_staging

    def start(self) -> None:
        """Start the configured executors."""
        for executor in list(self.by_label.values()):
            self._begin(executor)

    def choose(self, app: AppFunction, options: AppOptions) -> str:
        """Return the label of the executor for the next task of *app*; executors that fit take turns.

        Raises:
            ConfigurationError: no executor can run the task.
        """
        if app.kind is not AppKind.JOIN:
            return self._router.route(options.image, options.executors, fresh=options.fresh)
        if join_apps.LABEL not in self.by_label:
            with self._lock:
                if join_apps.LABEL not in self.by_label:
                    self._start(self._factory.make_joiner())
        return join_apps.LABEL

    def rule(self, label: str) -> str:
        """Return a sentence on the apps that the executor of *label* takes; empty for the one of join apps."""
        return self._router.rule(label)

    def add(self, settings: ExecutorSettings) -> None:
        """Make an executor of *settings*, start it and let it take tasks.

        Raises:
            ConfigurationError: the label is taken, or *settings* cannot work.
            ExecutorClosedError: the run has ended.
        """
        with self._lock:
            self._check_open(settings.label)
            self._check_label(settings.label, {*self.by_label, *self._router.executors})
            route, executor = self._factory.make(settings)
            if executor is not None:
                self._start(executor)
            self._router.add(route)

    def close(self) -> None:
        """Start no more executors; one that is being started is in `by_label` when this returns."""
        with self._lock:
            self._is_closed = True

    def _add_clone(self, template: str, image: Image, label: str, *, fresh: bool) -> None:
        self._start(self._factory.clone(template, image, label, fresh=fresh))

    def _start(self, executor: Executor) -> None:
        self._check_open(executor.label)
        self._check_label(executor.label, self.by_label)
        self.by_label[executor.label] = executor
        self._begin(executor)

    def _begin(self, executor: Executor) -> None:
        if isinstance(executor, ReportsStaging):
            executor.follow_staging(self._on_staging)
        executor.start(self._report)

    def _check_open(self, label: str) -> None:
        if self._is_closed:
            raise ExecutorClosedError(
                f"The executor {label!r} was added after its run had ended. Call cnflow.load() again."
            )

    @staticmethod
    def _check_label(label: str, taken: Iterable[str]) -> None:
        if conflict := label_conflict(label, sorted(taken)):
            raise ConfigurationError(f"{conflict[0].upper()}{conflict[1:]}.")
