"""Makes apps of models: of a module that is installed in an image, or of the user's own class or function."""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from cnflow.apps.models import ModelApp, parse_model_options
from cnflow.apps.options import parse_options
from cnflow.errors import ConfigurationError
from cnflow.model.task import AppKind
from cnflow.tasks.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.dataflow import DataFlowKernel
    from cnflow.model.image import ImageLike
    from cnflow.model.resources import Resources

T = TypeVar("T")


def predict_app(  # noqa: PLR0913 - options, as those of python_app
    *,
    module: str,
    function: str = "predict",
    image: ImageLike = "",
    executors: str | Sequence[str] = "all",
    cache: bool = False,
    retries: float | None = None,
    walltime: float | None = None,
    resources: Mapping[str, Any] | Resources | None = None,
    env: dict[str, str] | None = None,
    max_batch: int = 64,
    max_wait: float = 0.0,
    latency_target: float | None = None,
    accelerators: int | None = None,
    load_timeout: float | None = 600.0,
    apart: str | Callable[[Any], object] = "",
    warm: bool = False,
    data_flow_kernel: DataFlowKernel | None = None,
) -> ModelApp:
    """Make an app of the function ``predict(list)`` of a module in an image; called with a list, it returns a future.

    Args:
        module: full name, as in an import. Each worker imports it and calls its ``setup()`` once; the driver does not.
        function: its name in the module, with dots for an attribute of an object there. Takes a list and returns a
            result for each row, in order: a list, an array, or another value that is as long.
        image: container image that has the module; without one it must be installed where the executor's workers run.
        executors: as for `python_app`.
        cache: reuse the result of an earlier call with an equal list, by image, module and function.
        retries: budget of retries of each task instead of the Config's.
        walltime: seconds for a task; the first one in a worker includes import and setup.
        resources: needs of each task.
        env: environment variables of each task; the module is imported with those of the first.
        max_batch: rows that one call of the function gets at the most; a longer list runs alone.
        max_wait: seconds that an idle worker waits for more rows.
        latency_target: seconds within which a call should be answered, its wait included: batches stay so small.
        accelerators: number that the model's worker sees; None is the worker's share.
        load_timeout: seconds that a worker has to load the model before its first call; None has no limit.
        apart: calls of other values are never in one batch: a text, or a function of the rows, such as of their shape.
        warm: load the model in all workers at the first call, and in those that start later before they get tasks.
        data_flow_kernel: run that gets the tasks instead of the loaded one.

    Raises:
        ConfigurationError: a name is no name, or an option is of the wrong type.
    """
    given = _options(locals(), besides={"module", "function"})
    _require_name("module", module)
    _require_name("function", function)
    own = parse_model_options("predict_app", given)
    return ModelApp(Model(module, function), parse_options("predict_app", AppKind.PYTHON, given), own)


@overload
def model_app(target: T) -> ModelApp: ...
@overload
def model_app(
    target: None = None,
    *,
    image: ImageLike = "",
    executors: str | Sequence[str] = "all",
    cache: bool = False,
    retries: float | None = None,
    walltime: float | None = None,
    resources: Mapping[str, Any] | Resources | None = None,
    env: dict[str, str] | None = None,
    max_batch: int = 64,
    max_wait: float = 0.0,
    latency_target: float | None = None,
    accelerators: int | None = None,
    load_timeout: float | None = 600.0,
    apart: str | Callable[[Any], object] = "",
    warm: bool = False,
    data_flow_kernel: DataFlowKernel | None = None,
) -> Callable[[Any], ModelApp]: ...
def model_app(  # noqa: PLR0913 - options, as those of python_app
    target: Any = None,
    *,
    image: ImageLike = "",
    executors: str | Sequence[str] = "all",
    cache: bool = False,
    retries: float | None = None,
    walltime: float | None = None,
    resources: Mapping[str, Any] | Resources | None = None,
    env: dict[str, str] | None = None,
    max_batch: int = 64,
    max_wait: float = 0.0,
    latency_target: float | None = None,
    accelerators: int | None = None,
    load_timeout: float | None = 600.0,
    apart: str | Callable[[Any], object] = "",
    warm: bool = False,
    data_flow_kernel: DataFlowKernel | None = None,
) -> ModelApp | Callable[[Any], ModelApp]:
    """Make an app of a model: a class with a method ``predict(rows)``, or a function ``predict(rows)``; a decorator.

    Each worker constructs the class once, and calls its method ``setup()`` if it has one; ``teardown()`` is called at
    the worker's end. The class or function travels as every app's does; arguments of the class are those of
    `ModelApp.bind`.

    Args:
        target: the class or function; None returns a decorator.
        image: container image that it runs in; an empty one is the bare node.
        executors: as for `python_app`.
        cache: reuse the result of an earlier call with equal rows, by image and code.
        retries: budget of retries of each task instead of the Config's.
        walltime: seconds for a task; the first one in a worker includes the setup.
        resources: needs of each task.
        env: environment variables of each task; the class is constructed with those of the first.
        max_batch: rows that one call of the function gets at the most; a longer list runs alone.
        max_wait: seconds that an idle worker waits for more rows.
        latency_target: seconds within which a call should be answered, its wait included: batches stay so small.
        accelerators: number that the model's worker sees; None is the worker's share.
        load_timeout: seconds that a worker has to load the model before its first call; None has no limit.
        apart: calls of other values are never in one batch: a text, or a function of the rows, such as of their shape.
        warm: load the model in all workers at the first call, and in those that start later before they get tasks.
        data_flow_kernel: run that gets the tasks instead of the loaded one.

    Raises:
        ConfigurationError: *target* has no predict, or an option is of the wrong type.
    """
    given = _options(locals(), besides={"target"})
    return functools.partial(_app_of, given) if target is None else _app_of(given, target)


def _app_of(given: dict[str, Any], target: Any) -> ModelApp:  # noqa: ANN401 - the user's class or function
    _require_model(target)
    options = dict(given)
    own = parse_model_options("model_app", options)
    return ModelApp(Model(target=target), parse_options("model_app", AppKind.PYTHON, options), own)


def _options(arguments: Mapping[str, Any], besides: set[str]) -> dict[str, Any]:
    """Return the options among the *arguments* of a decorator; those that are None say nothing."""
    return {name: value for name, value in arguments.items() if value is not None and name not in besides}


def _require_model(model: Any) -> None:  # noqa: ANN401 - the user's
    """Refuse what has no predict.

    Raises:
        ConfigurationError: says what to write.
    """
    if isinstance(model, (str, ModuleType)):
        name = model if isinstance(model, str) else model.__name__
        raise ConfigurationError(f"@model_app is for a class or a function; write predict_app(module={name!r}).")
    if isinstance(model, type):
        if not callable(getattr(model, "predict", None)):
            raise ConfigurationError(
                f"@model_app cannot be used for class {model.__name__}, which has no method predict(self, rows)."
            )
        return
    if not callable(model) and not callable(getattr(model, "predict", None)):
        raise ConfigurationError(f"@model_app is for a class or a function, not for {model!r}.")
    called = model if inspect.isroutine(model) else getattr(model, "predict", None) or type(model).__call__
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        name = getattr(model, "__name__", type(model).__name__)
        raise ConfigurationError(
            f"@model_app cannot be used for {name}, a generator function: predict returns a result for each row. Use a "
            "class, whose method stream(row) may yield pieces."
        )


def _require_name(what: str, name: object) -> None:
    """Refuse what cannot be imported.

    Raises:
        ConfigurationError: says what to write.
    """
    if isinstance(name, str) and all(part.isidentifier() for part in name.split(".")) and not name.endswith(".py"):
        return
    hint = ""
    if isinstance(name, str) and name.endswith(".py"):
        stem = name.rpartition("/")[2].removesuffix(".py")
        hint = f" Write {what}={stem!r}, as in 'import {stem}'."
    elif callable(name) or isinstance(name, ModuleType):
        hint = " It is imported in the worker, by its name; for a function of this script use python_app."
    raise ConfigurationError(f"predict_app({what}=...) takes the name of a {what}, not {name!r}.{hint}")
