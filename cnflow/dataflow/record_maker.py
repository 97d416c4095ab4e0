"""Makes the record of a call: everything of a task that is fixed before the graph enters it.

::

    call ──> futures among its arguments ──> record ──> budgets ──> cache ──> code ──> arguments ──> streams and paths
                                                           └── a cached task waits for its own files too

Nothing here is undone where a step fails: the record is in no table yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.dataflow.arguments import keep_arguments
from cnflow.dataflow.call_options import NO_CALL_OPTIONS, record_call_options
from cnflow.dataflow.code_at_call import keep_code
from cnflow.dataflow.memo.cache import enable_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from cnflow.config import Config
    from cnflow.dataflow.call_options import AppOptions, CallOptions
    from cnflow.dataflow.dependencies import Resolver
    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.dataflow.references.keeper import Recipe
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.interfaces import Executor
    from cnflow.model.task import AppFunction


class RecordMaker:
    """Makes records of tasks. Safe from any thread.

    Args:
        config: settings of the run.
        run_dir: folder of the run's logs and records.
        executors: live executors by label.
        resolver: finds futures among arguments.
        record_class: class of the records.
        new_future: returns the future of a new task of an app.
    """

    def __init__(
        self,
        config: Config,
        run_dir: Path,
        executors: Mapping[str, Executor],
        resolver: Resolver,
        record_class: type[TaskRecord],
        new_future: Callable[[AppFunction], AppFuture],
    ) -> None:
        self._config = config
        self._run_dir = run_dir
        self._executors = executors
        self._resolver = resolver
        self._record_class = record_class
        self._new_future = new_future

    def make(  # noqa: PLR0913 - all that describes a task
        self,
        app: AppFunction,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: AppOptions,
        call_options: CallOptions,
        *,
        executor: str,
        after: Sequence[Future[Any]],
    ) -> tuple[TaskRecord, Sequence[Future[Any]]]:
        """Return the record of one call of *app* for *executor*, and the futures that the task waits for."""
        inputs = (*args, *call_options.inputs, *after) if call_options.inputs or after else args
        dependencies = self._resolver.find(inputs, kwargs) if inputs or kwargs else ()
        record = self._record_class(app, args, kwargs, executor, self._new_future(app))
        if app.batching is not None:
            record.part = options.apart, options.is_bulk
        live = self._executors[executor]
        if dependencies:
            record.depends = dependencies
        record.set_budgets(options, self._config)
        if options.cache and self._config.app_cache:
            dependencies = enable_cache(record, options, live)
        keep_code(record, live)
        keep_arguments(record, live, self._resolver)
        if call_options is not NO_CALL_OPTIONS:  # the user's std_autopath may raise
            visible = None if getattr(live, "items", None) is not None else getattr(live, "visible_files", None)
            record_call_options(call_options, record, self._config.std_autopath, self._run_dir, visible)
        return record, dependencies

    def make_again(self, recipe: Recipe) -> TaskRecord:
        """Return the record of another task that is as *recipe* says, since the result of the first was lost."""
        record = self._record_class(
            recipe.app, recipe.args, recipe.kwargs, recipe.executor, self._new_future(recipe.app)
        )
        recipe.fill(record)
        return record

    def bare(self, app: AppFunction, future: AppFuture) -> TaskRecord:
        """Return a record without arguments, for a *future* whose own record is gone."""
        return self._record_class(app, (), {}, "", future)
