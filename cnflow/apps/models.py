"""An app of a model: calls are answered by ``predict(rows)`` of a model that each worker loads once.

::

    app(rows)      ──> one task, the results of all its rows ─────────────┐      workers answer the tasks that wait
    app.map(rows)  ──> a task for each row, behind those of others ───────┼──>   together, by one call of predict
    app.stream(row) ─> the pieces that the model's stream() yields, as they come
"""

from __future__ import annotations

import contextlib
import inspect
import math
import weakref
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.apps.app import App
from cnflow.apps.direct_calls import PieceStream, prepare
from cnflow.apps.options import ParsedOptions, parse_options
from cnflow.dataflow import loaded_run
from cnflow.dataflow.call_options import INHIBIT, SPECIAL, parse_call_options, run_options
from cnflow.errors import ConfigurationError
from cnflow.model.batching import BatchLimits
from cnflow.model.task import NO_OPTIONS as NO_RUN_OPTIONS
from cnflow.model.task import AppFunction, AppKind
from cnflow.tasks import inside
from cnflow.tasks.direct_models import DirectModel
from cnflow.tasks.models import STREAM, Model, RowForm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cnflow.dataflow import AppFuture, DataFlowKernel
    from cnflow.model.image import Image
    from cnflow.tasks.models import Description

_VALUES, _ROW = int(RowForm.VALUES), int(RowForm.ROW)
_READ = SPECIAL | {INHIBIT}


class ModelOptions(NamedTuple):
    """Options that only apps of models have."""

    limits: BatchLimits = BatchLimits()
    apart: str | Callable[[Any], object] = ""
    warm: bool = False


NAMES = (*BatchLimits._fields, "apart", "warm")
"""Names of these options in a decorator."""


def parse_model_options(where: str, options: dict[str, Any], before: ModelOptions | None = None) -> ModelOptions:
    """Take the options of models out of *options*, and return them; others stay as they are in *before*.

    Raises:
        ConfigurationError: one is of the wrong type, or out of its range.
    """
    before = before or ModelOptions()
    given = {name: options.pop(name) for name in NAMES if name in options}
    checks: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
        "max_batch": ("a number of rows from 1 on", lambda value: _is_whole(value) and value >= 1),
        "max_wait": ("a number of seconds from 0 on", lambda value: _is_number(value) and value >= 0),
        "latency_target": ("a number of seconds above 0, or None", lambda value: _is_number(value) and value > 0),
        "accelerators": ("a number from 0 on, or None", lambda value: _is_whole(value) and value >= 0),
        "load_timeout": ("a number of seconds above 0, or None", lambda value: _is_number(value) and value > 0),
        "apart": ("a text, or a function of the rows", lambda value: isinstance(value, str) or callable(value)),
        "warm": ("True or False", lambda value: isinstance(value, bool)),
    }
    for name, value in given.items():
        wanted, fits = checks[name]
        if value is None and name in {"latency_target", "accelerators"}:
            given[name] = BatchLimits._field_defaults[name]
        elif value is None and name == "load_timeout":
            given[name] = 0.0
        elif not fits(value):
            raise ConfigurationError(f"{where}({name}=...) must be {wanted}, not {value!r}.")
    limits = {name: given.pop(name) for name in BatchLimits._fields if name in given}
    return before._replace(limits=before.limits._replace(**limits), **given)


def _is_number(value: Any) -> bool:  # noqa: ANN401 - any option
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:  # noqa: ANN401 - the same
    return isinstance(value, int) and not isinstance(value, bool)


class ModelApp(App[[Any], Any]):
    """App of a model; see `cnflow.model_app` and `cnflow.predict_app`.

    Args:
        model: what workers load.
        given: options as of every app.
        own: options of models.

    Attributes:
        model: what workers load.
    """

    __slots__ = ("_bulk", "_missing", "_own", "_warmed", "model")

    def __init__(
        self, model: Model, given: ParsedOptions, own: ModelOptions, *, app_function: AppFunction | None = None
    ) -> None:
        super().__init__(DirectModel(model), AppKind.PYTHON, given)  # type: ignore[arg-type]  # mypy sees no call in a tuple
        made = app_function or AppFunction(model)  # type: ignore[arg-type]  # the same
        made.batching = own.limits
        options = replace(given.app, apart=own.apart)
        self._cnflow = self._cnflow._replace(app=made, options=options, keywords=given.keywords)
        self._bulk = replace(options, is_bulk=True)
        self._own = own
        self._warmed: weakref.WeakSet[DataFlowKernel] = weakref.WeakSet()
        self._missing = _missing_arguments(model)
        self.model = model
        _take_names(self, model)

    @property
    def image(self) -> Image:
        """Image that it runs in; an empty one is the bare node."""
        return self._cnflow.options.image

    @property
    def app_function(self) -> AppFunction:
        """Function of its tasks, as executors get it."""
        return self._cnflow.app

    def _submit(self, /, *args: Any, **keywords: Any) -> AppFuture[Any]:  # noqa: ANN401 - the user's own
        """Submit a call for a list of rows; returns at once. See `App` for the special keywords."""
        if not args and "rows" in keywords:
            args = (keywords.pop("rows"),)
        if len(args) != 1:
            raise TypeError(f"{self._cnflow.app.name} takes a list of rows, not {len(args)} arguments.")
        if inside.thread.runs_task:
            return self.function(*args, **keywords)  # type: ignore[no-any-return]  # types are those of the driver
        return self._call(_VALUES, args[0], keywords)

    def map(self, rows: Iterable[Any], *, chunk: int = 0, **keywords: Any) -> list[AppFuture[Any]]:  # noqa: ANN401 - the user's own
        """Submit a call for each of *rows*, and return their futures in order, each of the result of its row.

        Workers get as many rows at once as ``max_batch`` has it; calls of the app that are no part of a ``map`` go
        first. A row that the model cannot take fails alone.

        Args:
            rows: any number of them.
            chunk: rows of a task. The futures are those of lists then, of a result for each row; fewer tasks cost
                less, and a row that fails fails its chunk. 0 makes a task for each row.
            **keywords: as those of a call.
        """
        if inside.thread.runs_task:
            return self.function.map(rows, chunk=chunk, **keywords)  # type: ignore[attr-defined,no-any-return]  # as above
        if not chunk:
            return [self._call(_ROW, row, keywords, is_bulk=True) for row in rows]
        if not _is_whole(chunk) or chunk < 1:
            raise ConfigurationError(f"map(chunk=...) takes a number of rows from 1 on, not {chunk!r}.")
        listed: Any = rows if hasattr(rows, "__getitem__") and hasattr(rows, "__len__") else list(rows)
        parts = (listed[begin : begin + chunk] for begin in range(0, len(listed), chunk))
        return [self._call(_VALUES, part, keywords, is_bulk=True) for part in parts]

    def stream(self, row: Any, **keywords: Any) -> Iterator[Any]:  # noqa: ANN401 - the user's own
        """Call ``stream(row)`` of the model in a worker, and return an iterator over its pieces, as they come.

        The call is no task of the graph: nothing waits for it, repeats it or remembers it. Closing the iterator stops
        it. With an executor without workers, the model runs in the thread that iterates.

        Args:
            row: one row; a future is waited for.
            **keywords: parameters of the model's ``stream``.
        """
        if inside.thread.runs_task:
            return self.function.stream(row, **keywords)  # type: ignore[attr-defined,no-any-return]  # as above
        parts, dfk = self._cnflow, self._usable_run()
        row = row.result() if isinstance(row, Future) else row
        direct = getattr(dfk.executor_of(parts.app, parts.options), "direct", None)
        if direct is None:
            return self.function.stream(row, **keywords)  # type: ignore[attr-defined,no-any-return]  # as above
        options = run_options(parse_call_options(parts.app.name, parts.keywords)) if parts.keywords else NO_RUN_OPTIONS
        args = (_ROW + STREAM, row, keywords) if keywords else (_ROW + STREAM, row)
        return PieceStream(direct, parts.app, args, options)

    def prepare(self) -> Future[Description]:
        """Have all workers load the model now, and those that start later before they get tasks.

        Returns:
            Future of the description by the first worker that has loaded it, or of the error of one that cannot.
        """
        parts, dfk = self._cnflow, self._usable_run()
        direct = getattr(dfk.executor_of(parts.app, parts.options), "direct", None)
        if direct is not None:
            return prepare(direct, parts.app)
        future: Future[Description] = Future()
        try:
            future.set_result(self.model.describe())
        except Exception as error:  # noqa: BLE001 - the user's
            future.set_exception(error)
        return future

    def bind(self, *args: Any, **keywords: Any) -> ModelApp:  # noqa: ANN401 - the user's own
        """Return an app whose workers construct the class with these arguments: ``Model.bind("weights.pt")``.

        For a function, *keywords* are passed with each call.

        Raises:
            ConfigurationError: the class or function does not take them.
        """
        name = self._cnflow.app.name
        if self.model.module:
            raise ConfigurationError(
                f"{name} is a function of a module, which takes no arguments: bind() is for classes."
            )
        if args and not isinstance(self.model.target, type):
            raise ConfigurationError(
                f"{name}.bind() takes keywords alone, since the first argument of predict is its rows."
            )
        model = self.model._replace(args=args, keywords=tuple(keywords.items()))
        if wrong := _missing_arguments(model):
            raise ConfigurationError(f"{name}.bind(): {wrong}")
        return ModelApp(model, self._cnflow.given, self._own)

    def options(self, **options: Any) -> ModelApp:  # noqa: ANN401 - the user's own
        """Return an app of the same model with other options; those that are not named stay as they are.

        Raises:
            ConfigurationError: an option is unknown, or of the wrong type.
        """
        where = f"{self._cnflow.app.name}.options"
        own = parse_model_options(where, options, self._own)
        given = parse_options(where, AppKind.PYTHON, options, self._cnflow.given)
        shared = self._cnflow.app if own.limits == self._own.limits else None
        return ModelApp(self.model, given, own, app_function=shared)

    with_options = options

    def _call(self, form: int, rows: Any, keywords: dict[str, Any], *, is_bulk: bool = False) -> AppFuture[Any]:  # noqa: ANN401 - the user's own
        parts, dfk = self._cnflow, self._usable_run()
        if self._own.warm and dfk not in self._warmed:
            self._warmed.add(dfk)
            self.prepare()
        options = self._bulk if is_bulk else parts.options
        if not keywords and not parts.keywords:
            return dfk.submit(parts.app, (form, rows), {}, options)
        special = {name: value for name, value in keywords.items() if name in _READ}
        passed = {name: value for name, value in keywords.items() if name not in _READ}
        call_options = parse_call_options(parts.app.name, {**parts.keywords, **special})
        args = (form, rows, passed) if passed else (form, rows)
        return dfk.submit(parts.app, args, {}, options, call_options)

    def _usable_run(self) -> DataFlowKernel:
        parts = self._cnflow
        if self._missing:
            raise ConfigurationError(f"{parts.app.name}: {self._missing}")
        return parts.dfk or loaded_run.current() or loaded_run.require(f"{parts.app.name}()")

    def __repr__(self) -> str:
        return f"<model_app {self._cnflow.app.name}>"

    if not TYPE_CHECKING:  # as in App
        __call__ = _submit


def _missing_arguments(model: Model) -> str:
    """Sentence on arguments that the class or function of *model* does not take, or lacks; empty if it is right."""
    target = model.target
    if model.module or not (inspect.isclass(target) or inspect.isroutine(target)):
        return ""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return ""
    try:
        if inspect.isclass(target):
            signature.bind(*model.args, **dict(model.keywords))
        else:
            signature.bind_partial([], **dict(model.keywords))
    except TypeError as error:
        what = "class" if inspect.isclass(target) else "function"
        return f"the {what} cannot be used with these arguments: {error}. Pass what it needs by .bind(...)."
    return ""


def _take_names(app: ModelApp, model: Model) -> None:
    """Give *app* the name and the text of the user's class or function."""
    app.__dict__.pop("__wrapped__", None)
    target = model.target
    if target is None:
        app.__name__ = app.__qualname__ = model.__name__  # type: ignore[attr-defined]  # as of a function
        app.__doc__ = f"predict() of the module {model.module}."
        return
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        with contextlib.suppress(Exception):  # the user's object may refuse to tell
            setattr(app, name, getattr(target, name))
    app.__dict__["__wrapped__"] = target
