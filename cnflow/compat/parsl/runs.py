"""Parsl's DataFlowKernel and its loader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow import assemble, dataflow
from cnflow import config as config_module
from cnflow.compat.parsl.config import Config
from cnflow.dataflow import current
from cnflow.dataflow.records import AppOptions
from cnflow.dataflow.wishes import NO_WISHES
from cnflow.errors import ConfigurationError
from cnflow.model.task import AppFunction, AppKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.dataflow import AppFuture


class DataFlowKernel(dataflow.DataFlowKernel):
    """`cnflow.DataFlowKernel`, made from a Config and started at once; `load` makes it the loaded one as well."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(*assemble.parts_of(Config() if config is None else config, lambda: self))
        assemble.start(self)

    def submit(  # type: ignore[override]
        self,
        func: Callable[..., Any] | AppFunction,
        app_args: Sequence[Any] = (),
        executors: Any = "all",  # noqa: ANN401 - Parsl's third parameter, or cnflow's
        *more: Any,  # noqa: ANN401 - the same
        **by_name: Any,  # noqa: ANN401 - the same
    ) -> AppFuture:
        """Make a task: by Parsl's parameters of a function, by cnflow's own of an app."""
        if isinstance(func, AppFunction):
            return super().submit(func, tuple(app_args), executors, *more, **by_name)
        return self._submit_function(func, app_args, executors, *more, **by_name)

    def _submit_function(  # noqa: PLR0913, PLR0917 - Parsl's signature
        self,
        func: Callable[..., Any],
        app_args: Sequence[Any] = (),
        executors: str | Sequence[str] = "all",
        cache: bool = False,  # noqa: FBT001, FBT002 - Parsl's signature
        ignore_for_cache: Sequence[str] | None = None,
        app_kwargs: Mapping[str, Any] | None = None,
        join: bool = False,  # noqa: FBT001, FBT002 - Parsl's signature
    ) -> AppFuture:
        options = AppOptions(executors=executors, cache=cache, ignore_for_cache=tuple(ignore_for_cache or ()))
        kind = AppKind.JOIN if join else AppKind.PYTHON
        return super().submit(AppFunction(func, kind), tuple(app_args), dict(app_kwargs or {}), options, NO_WISHES)

    @property
    def memoizer(self) -> DataFlowKernel:
        """What writes checkpoints: ``dfk.memoizer.checkpoint()``."""
        return self

    def checkpoint(self, tasks: Sequence[AppFuture] | None = None) -> str:  # noqa: ARG002 - Parsl's signature
        """`cnflow.DataFlowKernel.checkpoint`, of all tasks whichever are named."""
        return super().checkpoint()


def load(config: Config | None = None) -> DataFlowKernel:
    """Start a run and make it the loaded one.

    Raises:
        ConfigurationError: one is loaded already, or *config* is none.
    """
    current.refuse_second()
    if config is not None and not isinstance(config, config_module.Config):
        raise ConfigurationError(f"load() takes a Config, not {type(config).__name__}. Write Config(executors=[...]).")
    dfk = DataFlowKernel(config)
    assemble.make_current(dfk)
    return dfk


class _Loader(type):
    @property
    def _dfk(cls) -> dataflow.DataFlowKernel | None:
        return current.loaded()


class DataFlowKernelLoader(metaclass=_Loader):
    """Parsl's old name for the functions of the same names."""

    clear = staticmethod(assemble.clear)
    dfk = staticmethod(assemble.dfk)
    load = staticmethod(load)
    wait_for_current_tasks = staticmethod(assemble.wait_for_current_tasks)
