"""Parsl's decorators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cnflow
from cnflow.apps.app import App as AppBase
from cnflow.compat.parsl.errors import InvalidAppTypeError
from cnflow.model.task import AppKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.dataflow import DataFlowKernel

__all__ = ["App", "AppBase", "BashApp", "PythonApp", "bash_app", "join_app", "python_app"]


def python_app(
    function: Callable[..., Any] | None = None,
    data_flow_kernel: DataFlowKernel | None = None,
    walltime: float | None = None,
    cache: bool = False,  # noqa: FBT001, FBT002 - Parsl's signature
    executors: str | Sequence[str] = "all",
    ignore_for_cache: Sequence[str] | None = None,
    **more: Any,  # noqa: ANN401 - cnflow's own options
) -> Any:  # noqa: ANN401 - an App or its decorator
    """`cnflow.python_app`, with Parsl's parameters also by position."""
    options = _options(data_flow_kernel, cache, ignore_for_cache, walltime=walltime, executors=executors, **more)
    return _decorate(cnflow.python_app, function, options)


def bash_app(
    function: Callable[..., Any] | None = None,
    data_flow_kernel: DataFlowKernel | None = None,
    walltime: float | None = None,
    cache: bool = False,  # noqa: FBT001, FBT002 - Parsl's signature
    executors: str | Sequence[str] = "all",
    ignore_for_cache: Sequence[str] | None = None,
    **more: Any,  # noqa: ANN401 - cnflow's own options
) -> Any:  # noqa: ANN401 - an App or its decorator
    """`cnflow.bash_app`, with Parsl's parameters also by position."""
    options = _options(data_flow_kernel, cache, ignore_for_cache, walltime=walltime, executors=executors, **more)
    return _decorate(cnflow.bash_app, function, options)


def join_app(
    function: Callable[..., Any] | None = None,
    data_flow_kernel: DataFlowKernel | None = None,
    cache: bool = False,  # noqa: FBT001, FBT002 - Parsl's signature
    ignore_for_cache: Sequence[str] | None = None,
    **more: Any,  # noqa: ANN401 - cnflow's own options
) -> Any:  # noqa: ANN401 - an App or its decorator
    """`cnflow.join_app`, with Parsl's parameters also by position."""
    return _decorate(cnflow.join_app, function, _options(data_flow_kernel, cache, ignore_for_cache, **more))


def App(  # noqa: N802 - Parsl's name
    apptype: str,
    data_flow_kernel: DataFlowKernel | None = None,
    walltime: float | None = None,
    cache: bool = False,  # noqa: FBT001, FBT002 - Parsl's signature
    executors: str | Sequence[str] = "all",
) -> Callable[[Callable[..., Any]], AppBase]:
    """Parsl's first decorator, ``@App('python')`` or ``@App('bash')``.

    Raises:
        InvalidAppTypeError: *apptype* is neither.
    """
    decorators: dict[str, Callable[..., Any]] = {"python": cnflow.python_app, "bash": cnflow.bash_app}
    if apptype not in decorators:
        raise InvalidAppTypeError(f"App({apptype!r}) is neither App('python') nor App('bash').")
    options = _options(data_flow_kernel, cache, None, walltime=walltime, executors=executors)
    decorator: Callable[[Callable[..., Any]], AppBase] = decorators[apptype](**options)
    return decorator


class _OfKind(type):
    """Metaclass: an app of a kind is an instance of the class, whichever decorator made it."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, AppBase) and instance._cnflow.app.kind is cls.KIND  # type: ignore[attr-defined]  # noqa: SLF001 - an app's public names are its function's

    def __call__(cls, func: Callable[..., Any], *args: Any, **options: Any) -> AppBase:  # noqa: ANN401 - Parsl's
        app: AppBase = cls.DECORATOR(func, *args, **options)  # type: ignore[attr-defined]
        return app


class PythonApp(AppBase, metaclass=_OfKind):
    """Class of the apps that `python_app` makes; a call makes one."""

    KIND = AppKind.PYTHON
    DECORATOR = staticmethod(python_app)


class BashApp(AppBase, metaclass=_OfKind):
    """Class of the apps that `bash_app` makes; a call makes one."""

    KIND = AppKind.BASH
    DECORATOR = staticmethod(bash_app)


def _options(
    dfk: DataFlowKernel | None,
    cache: bool,  # noqa: FBT001 - passed on
    ignored: Sequence[str] | None,
    **more: Any,  # noqa: ANN401 - cnflow's own options
) -> dict[str, Any]:
    """Options of cnflow's decorator, without those that are None."""
    options = {"data_flow_kernel": dfk, "cache": cache, "ignore_for_cache": tuple(ignored or ()), **more}
    return {name: value for name, value in options.items() if value is not None}


def _decorate(decorator: Callable[..., Any], function: Callable[..., Any] | None, options: dict[str, Any]) -> Any:  # noqa: ANN401 - an App or its decorator
    with_options = decorator(**options)
    return with_options if function is None else with_options(function)
