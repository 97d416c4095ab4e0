"""An app: a function that becomes a task when it is called.

::

    app(*args, **kwargs) ──in a task──────────────> function(*args, **kwargs), at once
           │                                        (in a worker only while the task itself has loaded no run)
           └──anywhere else──> special keywords ──> CallOptions ──┬──> dfk.submit ──> AppFuture
                                 └─ arguments of the function ────┘
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.apps.options import NO_PARSED_OPTIONS, ParsedOptions, parse_options
from cnflow.dataflow import loaded_run
from cnflow.dataflow.call_options import (
    INHIBIT,
    SPECIAL,
    AppOptions,
    accepted_keywords,
    options_from_defaults,
    parse_call_options,
    reserved_keywords,
)
from cnflow.errors import ConfigurationError
from cnflow.model.pickle_hooks import itself, keep_identity
from cnflow.model.task import AppFunction, AppKind
from cnflow.tasks import inside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Unpack

    from cnflow.apps.options import OptionKeywords
    from cnflow.apps.signatures import P, R, Signatures
    from cnflow.dataflow import AppFuture, DataFlowKernel
else:
    from typing import Generic as Signatures
    from typing import ParamSpec, TypeVar

    P, R = ParamSpec("P"), TypeVar("R")


_READ = SPECIAL | {INHIBIT}


class _Parts(NamedTuple):
    """All that an app is made of, in one attribute: those of the user's callable may have any other name."""

    app: AppFunction
    given: ParsedOptions
    """From the decorator and `App.options`."""

    options: AppOptions
    dfk: DataFlowKernel | None
    keywords: Mapping[str, Any]
    """Special keywords of each call that does not set them."""

    files: Mapping[str, Any]
    """Defaults of parameters ``inputs`` and ``outputs``."""

    accepted: frozenset[str]
    """Special keywords that the function gets, too."""

    reserved: frozenset[str]
    """Special keywords that only the function gets."""


class App(Signatures[P, R]):
    """A decorated function; calling it submits a task to the loaded DataFlowKernel.

    Inside a task, calling it calls the function. For type checkers, a call takes the function's own parameters *P*, or
    futures in their places, and returns an ``AppFuture[R]``: see `cnflow.apps.signatures`.

    Args:
        function: the user's.
        kind: how its result becomes the task's.
        given: options of the decorator.

    Attributes:
        function: as it was decorated; a direct call runs it in the caller's thread. Its attributes are those of the
            app, too, unless the app has its own of that name.

    Raises:
        ConfigurationError: *function* cannot be called, or is a generator function.
    """

    __slots__ = ("__dict__", "__weakref__", "_cnflow", "function")

    def __init__(self, function: Callable[P, Any], kind: AppKind, given: ParsedOptions = NO_PARSED_OPTIONS) -> None:
        if not callable(function):
            raise ConfigurationError(f"An app is made of a function, not of {function!r}.")
        _refuse_generator(function, kind)
        self.function: Callable[..., Any] = function
        defaults = options_from_defaults(function)
        self._cnflow = _Parts(
            app=AppFunction(function, kind),
            given=given,
            options=given.app,
            dfk=given.data_flow_kernel,
            keywords={**defaults, **given.keywords},
            files={name: value for name, value in defaults.items() if name in {"inputs", "outputs"}},
            accepted=accepted_keywords(function),
            reserved=reserved_keywords(function),
        )
        _take_attributes(self, function)

    def _submit(self, /, *args: Any, **kwargs: Any) -> AppFuture[R]:  # noqa: ANN401 - the user's own arguments
        """Submit a task; returns at once.

        Futures among the arguments, also inside lists, tuples, sets, dicts and dataclasses, are waited for and replaced
        by their results before the function runs.

        Special keywords control the task, and reach the function only if it has parameters of those names: ``inputs``
        and ``outputs`` (lists of files), ``stdout`` and ``stderr`` (a path, ``(path, mode)`` or AUTO_LOGNAME),
        ``label``, ``walltime`` (seconds), ``resources`` (a dict, see `cnflow.Resources`), ``env`` (a dict),
        ``sandbox``, ``keep_remote`` (leave the result on its node until it is asked for; False: do not, whatever the
        executor has it). The last four are ordinary arguments of a function that has parameters of those names, or
        ``**kwargs``: use `options`. The call's value is used before that of `options` and the decorator, and that
        before the default of a parameter of that name (but not for those four).

        Raises:
            NoDataFlowKernelError: no run is loaded.
            ConfigurationError: no executor can run the task, or a keyword is of the wrong type.
        """
        parts = self._cnflow
        if inside.thread.runs_task:
            return self.function(*args, **kwargs)  # type: ignore[no-any-return]  # types are those of the driver
        dfk = parts.dfk or loaded_run.current()
        if dfk is None:
            if inside.in_worker:
                return self.function(*args, **kwargs)  # type: ignore[no-any-return]  # the same
            dfk = loaded_run.require(f"{parts.app.name}()")
        if not parts.keywords and SPECIAL.isdisjoint(kwargs):
            return dfk.submit(parts.app, args, kwargs, parts.options)
        if parts.files:
            kwargs = {**parts.files, **kwargs}  # as if the call named them: futures in them become results
        special = {name: value for name, value in kwargs.items() if name in _READ and name not in parts.reserved}
        options = parse_call_options(parts.app.name, {**parts.keywords, **special}, parts.accepted)
        passed = {name: value for name, value in kwargs.items() if name not in SPECIAL or name in parts.accepted}
        if "outputs" in passed and options.outputs:
            passed["outputs"] = list(options.outputs)
        return dfk.submit(parts.app, args, passed, parts.options, options)

    def options(self, **options: Unpack[OptionKeywords]) -> App[P, R]:
        """Return an app of the same function with other options: ``app.options(env={"A": "1"})(...)``.

        Args:
            **options: those of the decorator, and ``label``; others stay as they are.

        Raises:
            ConfigurationError: an option is unknown, or of the wrong type.
        """
        parts = self._cnflow
        given = parse_options(f"{parts.app.name}.options", parts.app.kind, dict(options), parts.given)
        return App(self.function, parts.app.kind, given)

    with_options = options

    @property
    def executors(self) -> str | Sequence[str]:
        """Label or labels of the executors that may run it, or ``"all"``."""
        return self._cnflow.options.executors

    def _bind(self, instance: object, owner: type | None = None) -> Callable[..., AppFuture[R]]:  # noqa: ARG002 - Python's
        """Bind *instance*, as a function that is a method does."""
        return self if instance is None else functools.partial(self, instance)

    if not TYPE_CHECKING:  # checkers take the overloads of Signatures
        __call__ = _submit
        __get__ = _bind

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the function: inside a task, an app is the plain function."""
        return itself, (self.function,)

    def __repr__(self) -> str:
        app = self._cnflow.app
        return f"<{app.kind.name.lower()}_app {app.name}>"


def _refuse_generator(function: Callable[..., Any], kind: AppKind) -> None:
    """Refuse a function that would return a generator, which no other process can go on with.

    Raises:
        ConfigurationError: *function* is one.
    """
    is_function = isinstance(function, (FunctionType, MethodType, functools.partial))
    called = function if is_function else type(function).__call__
    is_async = inspect.isasyncgenfunction(called)
    if not is_async and not inspect.isgeneratorfunction(called):
        return
    name = getattr(function, "__name__", type(function).__name__)
    how = "[value async for value in ...]" if is_async else "list(...)"
    raise ConfigurationError(
        f"@{kind.name.lower()}_app cannot be used for {name}, a{'n async' if is_async else ''} generator function: its "
        f"values would be made where nobody asks for them. Return all of them, as in 'return {how}'."
    )


def _take_attributes(app: App[..., Any], function: Callable[..., Any]) -> None:
    """Give *app* the attributes of *function*, as `functools.update_wrapper` does; a user's object may refuse some."""
    with contextlib.suppress(Exception):  # its own __getattr__ may fail in any way; the app needs none of these
        app.__dict__.update((name, value) for name, value in vars(function).items() if not hasattr(App, name))
    for name in functools.WRAPPER_ASSIGNMENTS:
        with contextlib.suppress(Exception):  # as above
            setattr(app, name, getattr(function, name))
    app.__dict__["__wrapped__"] = function


keep_identity(App)  # a copy of an app, made by pickling it, would be the plain function
