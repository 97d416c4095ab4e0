"""Makes an app of a module that is installed in an image and has ``predict(list)``; the driver needs its name alone."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cnflow.apps.app import App
from cnflow.apps.options import parse_options
from cnflow.errors import ConfigurationError
from cnflow.model.task import AppKind
from cnflow.tasks.predict import call_predict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.dataflow import DataFlowKernel
    from cnflow.model.image import ImageLike
    from cnflow.model.resources import Resources


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
    data_flow_kernel: DataFlowKernel | None = None,
) -> App[[Sequence[Any]], Any]:
    """Make an app of the function ``predict(list)`` of a module in an image; called with a list, it returns a future.

    A worker imports the module for its first task and calls its ``setup()``, if it has one; both once, unless they
    fail. Nothing of the module is needed in the driver.

    Args:
        module: full name, as in an import.
        function: name of the function in the module, with dots for an attribute of an object there. Takes a list and
            returns a result for each row, in order: a list, an array, or another value that is as long.
        image: container image that has the module; without one it must be installed where the executor's workers run.
        executors: as for `python_app`.
        cache: reuse the result of an earlier call with an equal list, by image, module and function.
        retries: budget of retries of each task instead of the Config's.
        walltime: seconds for a task; the first one in a worker includes import and setup.
        resources: needs of each task.
        env: environment variables of each task; the module is imported with those of the first.
        data_flow_kernel: run that gets the tasks instead of the loaded one.

    Raises:
        ConfigurationError: a name is no name, or an option is of the wrong type.
    """
    for what, name in (("module", module), ("function", function)):
        _require_name(what, name)
    options: dict[str, Any] = {"image": image, "executors": executors, "cache": cache, "retries": retries}
    keywords: dict[str, Any] = {
        "walltime": walltime,
        "resources": resources,
        "env": env,
        "data_flow_kernel": data_flow_kernel,
    }
    options.update((name, value) for name, value in keywords.items() if value is not None)
    call = functools.partial(call_predict, module, function)
    call.__name__ = f"{module}.{function}"  # type: ignore[attr-defined]  # a partial takes attributes
    return App(call, AppKind.PYTHON, parse_options("predict_app", AppKind.PYTHON, options))


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
