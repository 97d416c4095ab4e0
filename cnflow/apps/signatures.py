"""Types of a call of an app, for type checkers and editors; nothing imports this module at run time.

A call takes for each parameter a value or a future of one, and a `typing.ParamSpec` cannot say that: it is passed on
whole. So a call is checked against these overloads, in this order (reasons: docs/decisions/0015-types-of-calls.md).

    app(1, y=2)                 as the function itself: names, defaults, counts
        | does not fit
        v
    app(future, y=2)            up to six leading arguments are values or futures of them, by position;
        |                       the rest is as in the function itself
        v
    app(future, walltime=5)     up to six such arguments, all that the function needs, and special keywords, which
        |                       the function need not have
        v
    an error

Futures by other keywords, and among values in a container, are marked by `cnflow.apps.as_value`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Protocol, TypeAlias, overload

from typing_extensions import ParamSpec, Self, TypedDict, TypeVar, Unpack

from cnflow.dataflow.references.ref import Ref
from cnflow.model.file import File

if TYPE_CHECKING:
    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.model.resources import Resources

P = ParamSpec("P", default=...)
R = TypeVar("R", default=Any)
Rest = ParamSpec("Rest")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
A_contra = TypeVar("A_contra", contravariant=True)
B_contra = TypeVar("B_contra", contravariant=True)
C_contra = TypeVar("C_contra", contravariant=True)
D_contra = TypeVar("D_contra", contravariant=True)
E_contra = TypeVar("E_contra", contravariant=True)
F_contra = TypeVar("F_contra", contravariant=True)


class FutureOf(Protocol[R_co]):
    """A `concurrent.futures.Future` whose result is an *R_co*; unlike the class, a future of int is one of float."""

    def result(self, timeout: float | None = None) -> R_co:
        """The result, waited for."""

    def set_running_or_notify_cancel(self) -> bool:
        """Tells this kind of future from those of asyncio and of others, which are not waited for."""


Futures: TypeAlias = Collection[FutureOf[Any]] | Mapping[Any, FutureOf[Any]]
"""Containers of futures, which become containers of results; their elements' types are not compared."""

Argument: TypeAlias = T | FutureOf[T] | Ref[T] | Futures
"""Takes the place of a *T* in a call."""

FileArgument: TypeAlias = str | os.PathLike[str] | File
Stream: TypeAlias = FileArgument | int | tuple[FileArgument, str] | None


class CallKeywords(TypedDict, total=False):
    """The special keywords of a call, which say how its task is run; see `cnflow.dataflow.call_options`."""

    env: dict[str, str]
    inputs: Sequence[FileArgument | FutureOf[Any]]
    keep_remote: bool | None
    label: str
    outputs: Sequence[FileArgument]
    resources: Mapping[str, Any] | Resources
    sandbox: bool
    stderr: Stream
    stdout: Stream
    walltime: float | None


# Functions that begin with parameters of these types, and functions that need no other arguments than these. A protocol
# each, since mypy infers the types of leading parameters from the type of a member, not from a ParamSpec between
# brackets, and pyright takes a ParamSpec between brackets to be exact.


class _Begins1(Protocol[A_contra, Rest, R_co]):
    @property
    def _signature(self) -> Callable[Concatenate[A_contra, Rest], R_co]: ...


class _Begins2(Protocol[A_contra, B_contra, Rest, R_co]):
    @property
    def _signature(self) -> Callable[Concatenate[A_contra, B_contra, Rest], R_co]: ...


class _Begins3(Protocol[A_contra, B_contra, C_contra, Rest, R_co]):
    @property
    def _signature(self) -> Callable[Concatenate[A_contra, B_contra, C_contra, Rest], R_co]: ...


class _Begins4(Protocol[A_contra, B_contra, C_contra, D_contra, Rest, R_co]):
    @property
    def _signature(self) -> Callable[Concatenate[A_contra, B_contra, C_contra, D_contra, Rest], R_co]: ...


class _Begins5(Protocol[A_contra, B_contra, C_contra, D_contra, E_contra, Rest, R_co]):
    @property
    def _signature(self) -> Callable[Concatenate[A_contra, B_contra, C_contra, D_contra, E_contra, Rest], R_co]: ...


class _Begins6(Protocol[A_contra, B_contra, C_contra, D_contra, E_contra, F_contra, Rest, R_co]):
    @property
    def _signature(
        self,
    ) -> Callable[Concatenate[A_contra, B_contra, C_contra, D_contra, E_contra, F_contra, Rest], R_co]: ...


class _Takes0(Protocol[R_co]):
    @property
    def _signature(self) -> Callable[[], R_co]: ...


class _Takes1(Protocol[A_contra, R_co]):
    @property
    def _signature(self) -> Callable[[A_contra], R_co]: ...


class _Takes2(Protocol[A_contra, B_contra, R_co]):
    @property
    def _signature(self) -> Callable[[A_contra, B_contra], R_co]: ...


class _Takes3(Protocol[A_contra, B_contra, C_contra, R_co]):
    @property
    def _signature(self) -> Callable[[A_contra, B_contra, C_contra], R_co]: ...


class _Takes4(Protocol[A_contra, B_contra, C_contra, D_contra, R_co]):
    @property
    def _signature(self) -> Callable[[A_contra, B_contra, C_contra, D_contra], R_co]: ...


class _Takes5(Protocol[A_contra, B_contra, C_contra, D_contra, E_contra, R_co]):
    @property
    def _signature(self) -> Callable[[A_contra, B_contra, C_contra, D_contra, E_contra], R_co]: ...


class _Takes6(Protocol[A_contra, B_contra, C_contra, D_contra, E_contra, F_contra, R_co]):
    @property
    def _signature(self) -> Callable[[A_contra, B_contra, C_contra, D_contra, E_contra, F_contra], R_co]: ...


class Signatures(Generic[P, R]):
    """Base of `App` for type checkers: how it is called."""

    @property
    def _signature(self) -> Callable[P, R]:
        """Parameters of the function, type of the task's result; only types have it."""
        raise NotImplementedError

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self: _Begins1[A, Rest, R], instance: A, owner: type | None = None) -> Signatures[Rest, R]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind *instance*, as a function that is a method does."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AppFuture[R]: ...

    @overload
    def __call__(
        self: _Begins1[A, Rest, R], a: Argument[A], /, *args: Rest.args, **kwargs: Rest.kwargs
    ) -> AppFuture[R]: ...

    @overload
    def __call__(
        self: _Begins2[A, B, Rest, R], a: Argument[A], b: Argument[B], /, *args: Rest.args, **kwargs: Rest.kwargs
    ) -> AppFuture[R]: ...

    @overload
    def __call__(
        self: _Begins3[A, B, C, Rest, R],
        a: Argument[A],
        b: Argument[B],
        c: Argument[C],
        /,
        *args: Rest.args,
        **kwargs: Rest.kwargs,
    ) -> AppFuture[R]: ...

    @overload
    def __call__(
        self: _Begins4[A, B, C, D, Rest, R],
        a: Argument[A],
        b: Argument[B],
        c: Argument[C],
        d: Argument[D],
        /,
        *args: Rest.args,
        **kwargs: Rest.kwargs,
    ) -> AppFuture[R]: ...

    @overload
    def __call__(
        self: _Begins5[A, B, C, D, E, Rest, R],
        a: Argument[A],
        b: Argument[B],
        c: Argument[C],
        d: Argument[D],
        e: Argument[E],
        /,
        *args: Rest.args,
        **kwargs: Rest.kwargs,
    ) -> AppFuture[R]: ...

    @overload
    def __call__(
        self: _Begins6[A, B, C, D, E, F, Rest, R],
        a: Argument[A],
        b: Argument[B],
        c: Argument[C],
        d: Argument[D],
        e: Argument[E],
        f: Argument[F],
        /,
        *args: Rest.args,
        **kwargs: Rest.kwargs,
    ) -> AppFuture[R]: ...

    @overload
    def __call__(self: _Takes0[R], **keywords: Unpack[CallKeywords]) -> AppFuture[R]: ...

    @overload
    def __call__(self: _Takes1[A, R], a: Argument[A], /, **keywords: Unpack[CallKeywords]) -> AppFuture[R]: ...

    @overload
    def __call__(
        self: _Takes2[A, B, R], a: Argument[A], b: Argument[B], /, **keywords: Unpack[CallKeywords]
    ) -> AppFuture[R]: ...

    @overload
    def __call__(
        self: _Takes3[A, B, C, R], a: Argument[A], b: Argument[B], c: Argument[C], /, **keywords: Unpack[CallKeywords]
    ) -> AppFuture[R]: ...

    @overload
    def __call__(
        self: _Takes4[A, B, C, D, R],
        a: Argument[A],
        b: Argument[B],
        c: Argument[C],
        d: Argument[D],
        /,
        **keywords: Unpack[CallKeywords],
    ) -> AppFuture[R]: ...

    @overload
    def __call__(
        self: _Takes5[A, B, C, D, E, R],
        a: Argument[A],
        b: Argument[B],
        c: Argument[C],
        d: Argument[D],
        e: Argument[E],
        /,
        **keywords: Unpack[CallKeywords],
    ) -> AppFuture[R]: ...

    @overload
    def __call__(
        self: _Takes6[A, B, C, D, E, F, R],
        a: Argument[A],
        b: Argument[B],
        c: Argument[C],
        d: Argument[D],
        e: Argument[E],
        f: Argument[F],
        /,
        **keywords: Unpack[CallKeywords],
    ) -> AppFuture[R]: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]  # mypy finds *Rest in no *args
        """Submit a task; returns at once. See `App` for the special keywords."""
