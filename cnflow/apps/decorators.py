"""Decorators that make apps: `python_app`, `bash_app`, `join_app`.

Types of the result, for type checkers:

    python_app   (P) -> R, also by a coroutine              App[P, R]
    bash_app     (P) -> str, a command line                 App[P, int], the exit code
    join_app     (P) -> future of R, also by a coroutine    App[P, R]
                 (P) -> list, tuple or dict of futures      App[P, the same container of their results]
                 (P) -> deeper nesting                      App[P, Any]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from cnflow.apps.app import App
from cnflow.apps.options import NO_PARSED_OPTIONS, parse_options
from cnflow.model.task import AppKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
    from concurrent.futures import Future
    from typing import ParamSpec, Protocol, TypeVar

    from cnflow.apps.signatures import FutureOf, Futures
    from cnflow.dataflow import AppFuture, DataFlowKernel
    from cnflow.model.image import ImageLike
    from cnflow.model.resources import Resources

    P = ParamSpec("P")
    R = TypeVar("R")
    R1 = TypeVar("R1")
    R2 = TypeVar("R2")
    R3 = TypeVar("R3")
    Key = TypeVar("Key")

    class PythonAppDecorator(Protocol):
        """Result of ``python_app(...)`` with options."""

        @overload
        def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> App[P, R]: ...
        @overload
        def __call__(self, function: Callable[P, R], /) -> App[P, R]: ...

    class BashAppDecorator(Protocol):
        """Result of ``bash_app(...)`` with options."""

        def __call__(self, function: Callable[P, str | Coroutine[Any, Any, str]], /) -> App[P, int]:
            """Make an app of *function*."""

    class JoinAppDecorator(Protocol):
        """Result of ``join_app(...)`` with options; overloads as for `join_app`."""

        @overload
        def __call__(self, function: Callable[P, FutureOf[R] | Coroutine[Any, Any, FutureOf[R]]], /) -> App[P, R]: ...
        @overload
        def __call__(self, function: Callable[P, tuple[FutureOf[R1], FutureOf[R2]]], /) -> App[P, tuple[R1, R2]]: ...
        @overload
        def __call__(
            self, function: Callable[P, tuple[FutureOf[R1], FutureOf[R2], FutureOf[R3]]], /
        ) -> App[P, tuple[R1, R2, R3]]: ...
        @overload
        def __call__(self, function: Callable[P, tuple[FutureOf[R], ...]], /) -> App[P, tuple[R, ...]]: ...
        @overload
        def __call__(self, function: Callable[P, list[AppFuture[R]]], /) -> App[P, list[R]]: ...
        @overload
        def __call__(self, function: Callable[P, list[Future[R]]], /) -> App[P, list[R]]: ...
        @overload
        def __call__(self, function: Callable[P, Mapping[Key, FutureOf[R]]], /) -> App[P, dict[Key, R]]: ...
        @overload
        def __call__(
            self,
            function: Callable[
                P,
                FutureOf[Any] | Futures | Collection[FutureOf[Any] | Futures] | Mapping[Any, FutureOf[Any] | Futures],
            ],
            /,
        ) -> App[P, Any]: ...


@overload
def python_app(function: Callable[P, Coroutine[Any, Any, R]], /) -> App[P, R]: ...
@overload
def python_app(function: Callable[P, R], /) -> App[P, R]: ...
@overload
def python_app(
    function: None = None,
    /,
    *,
    executors: str | Sequence[str] = "all",
    image: ImageLike = "",
    fresh: bool = False,
    cache: bool = False,
    ignore_for_cache: Sequence[str] = (),
    retries: float | None = None,
    walltime: float | None = None,
    resources: Mapping[str, Any] | Resources | None = None,
    env: dict[str, str] | None = None,
    sandbox: bool = False,
    keep_remote: bool | None = None,
    data_flow_kernel: DataFlowKernel | None = None,
) -> PythonAppDecorator: ...


def python_app(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make an app of a Python function; with or without arguments.

    Args:
        function: the task's work. Its body imports what it needs; arguments and result must be picklable. One that
            returns a coroutine (``async def``) is run in an event loop of the task's own.
        **options: ``executors``, label or labels of the executors that may run it, or ``"all"``; ``image``, container
            image that it runs in, its name or a `cnflow.Image`; ``fresh``, give each task a container of its own, which
            ends with it; ``cache``, reuse the result of an earlier call of this run with the same code, arguments and
            image; ``ignore_for_cache``, parameters that do not matter for that; ``retries``, budget of retries of each
            task instead of the Config's; ``walltime``, ``resources``, ``env``, ``sandbox`` and ``keep_remote``
            as in a call; ``data_flow_kernel``, run that gets the tasks instead of the loaded one.

    Raises:
        ConfigurationError: an option is unknown (the message names the nearest), or of the wrong type.
    """
    return _decorate(AppKind.PYTHON, function, options)


@overload
def bash_app(function: Callable[P, str | Coroutine[Any, Any, str]], /) -> App[P, int]: ...
@overload
def bash_app(
    function: None = None,
    /,
    *,
    executors: str | Sequence[str] = "all",
    image: ImageLike = "",
    fresh: bool = False,
    cache: bool = False,
    ignore_for_cache: Sequence[str] = (),
    retries: float | None = None,
    walltime: float | None = None,
    resources: Mapping[str, Any] | Resources | None = None,
    env: dict[str, str] | None = None,
    sandbox: bool = False,
    pipefail: bool | None = None,
    data_flow_kernel: DataFlowKernel | None = None,
) -> BashAppDecorator: ...


def bash_app(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make an app of a function that returns a command line, which is run by bash (``sh`` where there is none).

    The result is 0; another exit code is a `cnflow.errors.BashExitFailure`. The call's ``stdout=`` and ``stderr=`` (a
    path, which is appended to, or ``(path, mode)``) redirect the command's output. Options as for `python_app`, and
    ``pipefail``: a pipeline fails when any of its commands does, not only the last; None leaves that to the Config.
    """
    return _decorate(AppKind.BASH, function, options)


@overload
def join_app(function: Callable[P, FutureOf[R] | Coroutine[Any, Any, FutureOf[R]]], /) -> App[P, R]: ...
@overload
def join_app(function: Callable[P, tuple[FutureOf[R1], FutureOf[R2]]], /) -> App[P, tuple[R1, R2]]: ...
@overload
def join_app(
    function: Callable[P, tuple[FutureOf[R1], FutureOf[R2], FutureOf[R3]]], /
) -> App[P, tuple[R1, R2, R3]]: ...
@overload
def join_app(function: Callable[P, tuple[FutureOf[R], ...]], /) -> App[P, tuple[R, ...]]: ...
@overload
def join_app(function: Callable[P, list[AppFuture[R]]], /) -> App[P, list[R]]: ...
@overload
def join_app(function: Callable[P, list[Future[R]]], /) -> App[P, list[R]]: ...
@overload
def join_app(function: Callable[P, Mapping[Key, FutureOf[R]]], /) -> App[P, dict[Key, R]]: ...
@overload
def join_app(
    function: Callable[
        P,
        FutureOf[Any] | Futures | Collection[FutureOf[Any] | Futures] | Mapping[Any, FutureOf[Any] | Futures],
    ],
    /,
) -> App[P, Any]: ...
@overload
def join_app(
    function: None = None,
    /,
    *,
    cache: bool = False,
    ignore_for_cache: Sequence[str] = (),
    retries: float | None = None,
    data_flow_kernel: DataFlowKernel | None = None,
) -> JoinAppDecorator: ...


def join_app(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make an app of a function that calls other apps and returns their futures: one, a list, or nested ones.

    The function runs in a thread of the driver, once its arguments are done. The result is the value it returned with
    results in place of the futures; if one of those fails, a `cnflow.errors.JoinError` that names it. Options as for
    `python_app`, less where to run.
    """
    return _decorate(AppKind.JOIN, function, options)


def _decorate(kind: AppKind, function: Callable[..., Any] | None, options: dict[str, Any]) -> Any:  # noqa: ANN401 - an App or its decorator
    given = parse_options(f"@{kind.name.lower()}_app", kind, options) if options else NO_PARSED_OPTIONS
    if function is not None:
        return App(function, kind, given)
    return lambda decorated: App(decorated, kind, given)
