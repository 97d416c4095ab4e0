"""An app: a function that becomes a task when it is called."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, overload

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
from cnflow.model.pickle_hooks import itself
from cnflow.model.resources import Resources
from cnflow.model.task import AppFunction, AppKind
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.dataflow import AppFuture, DataFlowKernel


class App:
    """A decorated function; calling it submits a task to the DFK that is loaded at that moment.

    Attributes:
        function: as it was decorated; call this to run it here and now.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        kind: AppKind,
        options: AppOptions = NO_OPTIONS,
        data_flow_kernel: DataFlowKernel | None = None,
        wishes: Mapping[str, Any] | None = None,
    ) -> None:
        if not callable(function):
            raise ConfigurationError(f"An app is made of a function, not of {function!r}.")
        self.function = function
        self._app = AppFunction(function, kind)
        self._options = options
        self._dfk = data_flow_kernel
        defaults = options_from_defaults(function)
        self._wishes = {**defaults, **(wishes or {})}
        self._files = {name: value for name, value in defaults.items() if name in {"inputs", "outputs"}}
        self._accepts = accepted_keywords(function)
        self._keeps = reserved_keywords(function)
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> AppFuture:  # noqa: ANN401 - the user's own arguments
        """Submit a task; returns at once.

        Futures among the arguments, also inside lists, tuples, sets and dicts, are waited for and replaced by their
        results before the function runs.

        Keywords that say how the task is run, and reach the function only if it has such parameters: ``inputs`` and
        ``outputs`` (lists of files), ``stdout`` and ``stderr`` (a path, ``(path, mode)`` or AUTO_LOGNAME), ``label``,
        ``walltime`` (seconds), ``resources`` (a dict, see `cnflow.Resources`; where the function has a parameter of
        that name, it is only an argument), ``env`` (a dict), ``sandbox``. What the call does not say, the decorator
        does, and then the default of a parameter of that name (not for ``env``, ``resources`` and ``sandbox``, which
        may be anything to a function).

        Raises:
            NoDataFlowKernelError: nothing is loaded.
            ConfigurationError: no executor can run it, or a keyword is of the wrong type.
        """
        dfk = self._dfk or loaded_run.require(f"{self._app.name}()")
        if not self._wishes and SPECIAL.isdisjoint(kwargs):
            return dfk.submit(self._app, args, kwargs, self._options)
        if self._files:
            kwargs = {**self._files, **kwargs}  # given like those of a call: futures in them become results
        said = {name: value for name, value in kwargs.items() if name not in self._keeps} if self._keeps else kwargs
        wishes = parse_call_options(self._app.name, {**self._wishes, **said})
        passed = {name: value for name, value in kwargs.items() if name not in SPECIAL or name in self._accepts}
        if "outputs" in passed:
            passed["outputs"] = list(wishes.outputs)
        return dfk.submit(self._app, args, passed, self._options, wishes)

    @property
    def executors(self) -> str | Sequence[str]:
        """Label or labels of the executors that may run it, or ``"all"``."""
        return self._options.executors

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., AppFuture]:
        """As a method: bind the instance as any function would."""
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what was decorated: inside a task, an app is the plain function."""
        return itself, (self.function,)

    def __repr__(self) -> str:
        return f"<{self._app.kind.name.lower()}_app {self._app.name}>"


@overload
def python_app(function: Callable[..., Any], /) -> App: ...
@overload
def python_app(
    function: None = None,
    /,
    *,
    executors: str | Sequence[str] = "all",
    image: str = "",
    cache: bool = False,
    retries: float | None = None,
    data_flow_kernel: DataFlowKernel | None = None,
) -> Callable[[Callable[..., Any]], App]: ...


def python_app(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make an app of a Python function; with or without arguments.

    Args:
        function: what to run. Its body imports what it needs; arguments and result must be picklable.
        **options: ``executors``, label or labels of the executors that may run it, or ``"all"``; ``image``, container
            image that it runs in; ``cache``, reuse the result of an earlier call of this run with the same code,
            arguments and image; ``retries``, budget of retries of each task instead of the Config's;
            ``data_flow_kernel``, run on this one instead of the one that is loaded.

    Raises:
        ConfigurationError: an option is not known; the nearest name is offered.
    """
    return _decorate(AppKind.PYTHON, function, options)


@overload
def bash_app(function: Callable[..., Any], /) -> App: ...
@overload
def bash_app(
    function: None = None,
    /,
    *,
    executors: str | Sequence[str] = "all",
    image: str = "",
    cache: bool = False,
    retries: float | None = None,
    data_flow_kernel: DataFlowKernel | None = None,
) -> Callable[[Callable[..., Any]], App]: ...


def bash_app(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make an app of a function that returns a command line, which is run by bash (``sh`` where there is none).

    The result is 0; another exit code is a `cnflow.errors.BashExitFailure`. The call's ``stdout=`` and ``stderr=`` (a
    path, which is appended to, or ``(path, mode)``) say where the command's output goes. Options as for `python_app`.
    """
    return _decorate(AppKind.BASH, function, options)


@overload
def join_app(function: Callable[..., Any], /) -> App: ...
@overload
def join_app(
    function: None = None,
    /,
    *,
    cache: bool = False,
    retries: float | None = None,
    data_flow_kernel: DataFlowKernel | None = None,
) -> Callable[[Callable[..., Any]], App]: ...


def join_app(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make an app of a function that calls other apps and returns their futures: one, a list, or nested ones.

    The function runs in a thread of the driver, when what it waits for is done. The result is what it returned with the
    results in place of the futures; if one of those fails, a `cnflow.errors.JoinError` that names it. Options as for
    `python_app`, less where to run.
    """
    return _decorate(AppKind.JOIN, function, options)


def _decorate(kind: AppKind, function: Callable[..., Any] | None, options: dict[str, Any]) -> Any:  # noqa: ANN401 - an App or its decorator
    _check(kind, options)
    _check_types(f"{kind.name.lower()}_app", options)
    dfk = options.pop("data_flow_kernel", None)
    wishes = {name: options.pop(name) for name in SPECIAL & options.keys()}
    chosen = AppOptions(**options)
    if function is not None:
        return App(function, kind, chosen, dfk, wishes)
    return lambda decorated: App(decorated, kind, chosen, dfk, wishes)


_OPTIONS = (
    "cache",
    "data_flow_kernel",
    "env",
    "executors",
    "ignore_for_cache",
    "image",
    "resources",
    "retries",
    "sandbox",
    "walltime",
)
_ELSEWHERE_ONLY = {"env", "executors", "image", "resources", "sandbox", "walltime"}


def _check(kind: AppKind, options: dict[str, Any]) -> None:
    decorator = f"{kind.name.lower()}_app"
    known = [name for name in _OPTIONS if kind is not AppKind.JOIN or name not in _ELSEWHERE_ONLY]
    for name in options:
        if name not in known:
            raise ConfigurationError(
                f"@{decorator} has no option {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}."
            )


def _check_types(decorator: str, options: dict[str, Any]) -> None:
    executors = options.get("executors", "all")
    labels = [executors] if isinstance(executors, str) else executors
    if not isinstance(labels, (list, tuple, set)) or not all(isinstance(label, str) for label in labels):
        raise ConfigurationError(f"@{decorator}(executors=...) must be a label or a list of labels, not {executors!r}.")
    image = options.get("image", "")
    if not isinstance(image, str):
        raise ConfigurationError(f"@{decorator}(image=...) must be the name of an image, not {image!r}.")
    cache = options.get("cache", False)
    if not isinstance(cache, bool):
        raise ConfigurationError(f"@{decorator}(cache=...) must be True or False, not {cache!r}.")
    if options.get("resources") is not None:
        options["resources"] = Resources.of(options["resources"])
    retries = options.get("retries")
    if retries is not None and (isinstance(retries, bool) or not isinstance(retries, (int, float)) or retries < 0):
        raise ConfigurationError(f"@{decorator}(retries=...) must be a number from 0 on, not {retries!r}.")
