"""An app: a function that becomes a task when it is called."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from cnflow.dataflow import loaded_run
from cnflow.dataflow.call_options import (
    NO_OPTIONS,
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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.apps.signatures import P, R, Signatures
    from cnflow.dataflow import AppFuture, DataFlowKernel
else:
    from typing import Generic as Signatures
    from typing import ParamSpec, TypeVar

    P, R = ParamSpec("P"), TypeVar("R")


class App(Signatures[P, R]):
    """A decorated function; calling it submits a task to the loaded DataFlowKernel.

    For type checkers, a call takes the function's own parameters *P*, or futures in their places, and returns an
    ``AppFuture[R]``: see `cnflow.apps.signatures`.

    Args:
        function: the user's.
        kind: how its result becomes the task's.
        options: those of the decorator.
        data_flow_kernel: run that gets the tasks; None is the one loaded at the time of a call.
        keywords: special keywords set by the decorator, for each call that does not set them.

    Attributes:
        function: as it was decorated; a direct call runs it in the caller's thread.

    Raises:
        ConfigurationError: *function* cannot be called.
    """

    def __init__(
        self,
        function: Callable[P, Any],
        kind: AppKind,
        options: AppOptions = NO_OPTIONS,
        data_flow_kernel: DataFlowKernel | None = None,
        keywords: Mapping[str, Any] | None = None,
    ) -> None:
        if not callable(function):
            raise ConfigurationError(f"An app is made of a function, not of {function!r}.")
        self.function = function
        self._app = AppFunction(function, kind)
        self._options = options
        self._dfk = data_flow_kernel
        defaults = options_from_defaults(function)
        self._keywords = {**defaults, **(keywords or {})}
        self._files = {name: value for name, value in defaults.items() if name in {"inputs", "outputs"}}
        self._accepted = accepted_keywords(function)
        self._reserved = reserved_keywords(function)
        functools.update_wrapper(self, function)

    def _submit(self, *args: Any, **kwargs: Any) -> AppFuture[R]:  # noqa: ANN401 - the user's own arguments
        """Submit a task; returns at once.

        Futures among the arguments, also inside lists, tuples, sets, dicts and dataclasses, are waited for and replaced
        by their results before the function runs.

        Special keywords control the task, and reach the function only if it has parameters of those names: ``inputs``
        and ``outputs`` (lists of files), ``stdout`` and ``stderr`` (a path, ``(path, mode)`` or AUTO_LOGNAME),
        ``label``, ``walltime`` (seconds), ``resources`` (a dict, see `cnflow.Resources`; an ordinary argument of a
        function that has a parameter of that name), ``env`` (a dict), ``sandbox``. The call's value is used before the
        decorator's, and that before the default of a parameter of that name (but not for ``env``, ``resources`` and
        ``sandbox``, which may mean anything to a function).

        Raises:
            NoDataFlowKernelError: no run is loaded.
            ConfigurationError: no executor can run the task, or a keyword is of the wrong type.
        """
        dfk = self._dfk or loaded_run.require(f"{self._app.name}()")
        if not self._keywords and SPECIAL.isdisjoint(kwargs):
            return dfk.submit(self._app, args, kwargs, self._options)
        if self._files:
            kwargs = {**self._files, **kwargs}  # as if the call named them: futures in them become results
        special = {k: value for k, value in kwargs.items() if k not in self._reserved} if self._reserved else kwargs
        options = parse_call_options(self._app.name, {**self._keywords, **special})
        passed = {name: value for name, value in kwargs.items() if name not in SPECIAL or name in self._accepted}
        if "outputs" in passed:
            passed["outputs"] = list(options.outputs)
        return dfk.submit(self._app, args, passed, self._options, options)

    @property
    def executors(self) -> str | Sequence[str]:
        """Label or labels of the executors that may run it, or ``"all"``."""
        return self._options.executors

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
        return f"<{self._app.kind.name.lower()}_app {self._app.name}>"


keep_identity(App)  # a copy of an app, made by pickling it, would be the plain function
