"""`PoolExecutor`: cnflow as a `concurrent.futures.Executor`.

open ── submit(), map() ──> calls are tasks of the run
  │
  ├── shutdown(), end of the `with` block ──> closed: no more calls, waits for unfinished ones ──┐
  ├── shutdown(wait=False) ──> closed: a thread, the finisher, waits ────────────────────────────┤
  ├── end of the interpreter ──> waits as shutdown() does ───────────────────────────────────────┤
  └── the `with` block raises ──> closed, without a wait ────────────────────────────────────────┤
                                                                                                 v
           ended: the pool's own run is cleaned up; in a run that was passed in, its calls are cancelled
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import functools
import itertools
import threading
import time
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from cnflow import exit_calls
from cnflow.apps.app import App
from cnflow.apps.options import ParsedOptions
from cnflow.assemble import new_run, start
from cnflow.config import Config
from cnflow.config.selection import select_config
from cnflow.dataflow.call_options import AppOptions
from cnflow.dataflow.futures.callbacks import on_done
from cnflow.errors import ExecutorClosedError
from cnflow.model.image import Image
from cnflow.model.task import AppFunction, AppKind

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Concatenate

    from cnflow.apps.signatures import Argument
    from cnflow.dataflow import AppFuture, DataFlowKernel
    from cnflow.model.image import ImageLike

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

_CACHED_FUNCTIONS = 128


class PoolExecutor(concurrent.futures.Executor):
    """Runs calls on the executors of a `Config`, in a run of the pool's own, or in an existing run.

    The contract of `concurrent.futures.Executor` holds, with additions: futures among the arguments of a call, also of
    other calls, are waited for and replaced by their results; a ``with`` block that raises cancels unfinished calls
    instead of waiting for them; cancelling stops running calls, too.

    End a pool by ``with`` or `shutdown`; otherwise the end of the interpreter waits for its calls.

    Args:
        config: settings of the pool's own run, as `cnflow.load` takes them; None runs calls in threads.
        dfk: an existing run, which goes on after the pool, instead of an own one.
        executors: label or labels of the executors to use, or ``"all"``.
        image: container image to run every call in.

    Raises:
        ConfigurationError: *config* cannot work; nothing was started.
    """

    def __init__(
        self,
        config: Config | str | os.PathLike[str] | None = None,
        *,
        dfk: DataFlowKernel | None = None,
        executors: str | Sequence[str] = "all",
        image: ImageLike = "",
    ) -> None:
        self._options = AppOptions(executors=executors, image=Image.of(image))
        self._cached_app_of = functools.lru_cache(maxsize=_CACHED_FUNCTIONS)(AppFunction)
        self._lock = threading.RLock()
        self._unfinished: set[AppFuture] = set()
        self._closed = False
        self._finisher: threading.Thread | None = None
        self._own_run = dfk is None
        self._dfk = _new_run(config) if dfk is None else dfk
        self._forget_exit = exit_calls.register(self._wait, self._finish)

    @property
    def dfk(self) -> DataFlowKernel:
        """The pool's run, for `DataFlowKernel.executor_status` and the like."""
        return self._dfk

    @overload
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> AppFuture[T]: ...
    @overload
    def submit(
        self, fn: Callable[Concatenate[A, P], T], a: Argument[A], /, *args: P.args, **kwargs: P.kwargs
    ) -> AppFuture[T]: ...
    @overload
    def submit(
        self,
        fn: Callable[Concatenate[A, B, P], T],
        a: Argument[A],
        b: Argument[B],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AppFuture[T]: ...
    @overload
    def submit(
        self,
        fn: Callable[Concatenate[A, B, C, P], T],
        a: Argument[A],
        b: Argument[B],
        c: Argument[C],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AppFuture[T]: ...
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AppFuture[Any]:
        """Call ``fn(*args, **kwargs)`` on an executor; returns at once.

        Raises:
            RuntimeError: the pool was shut down.
            ConfigurationError: no executor can run the call.
        """
        return self._submit(self._app_of(fn), args, kwargs)

    def get_app(self, fn: Callable[P, T]) -> App[P, T]:
        """Make an app of *fn* whose calls are tasks of this pool's run, with all the keywords that apps take."""
        return App(fn, AppKind.PYTHON, ParsedOptions(self._options, data_flow_kernel=self._dfk))

    @overload  # type: ignore[override]  # elements are checked, which Executor.map does not do
    def map(
        self,
        fn: Callable[[A], T],
        a: Iterable[Argument[A]],
        /,
        *,
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]: ...
    @overload
    def map(
        self,
        fn: Callable[[A, B], T],
        a: Iterable[Argument[A]],
        b: Iterable[Argument[B]],
        /,
        *,
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]: ...
    @overload
    def map(
        self,
        fn: Callable[[A, B, C], T],
        a: Iterable[Argument[A]],
        b: Iterable[Argument[B]],
        c: Iterable[Argument[C]],
        /,
        *,
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]: ...
    @overload
    def map(
        self,
        fn: Callable[..., T],
        a: Iterable[Any],
        b: Iterable[Any],
        c: Iterable[Any],
        d: Iterable[Any],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]: ...
    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Call *fn* with one element of each of *iterables* at a time; returns an iterator over the results, in order.

        Args:
            fn: the function.
            *iterables: sources of the arguments, read until the shortest ends; infinite ones need *buffersize*.
            timeout: seconds from now within which each result must be there when the iterator is asked for it.
            chunksize: calls in one task. A call that raises fails the others of its chunk.
            buffersize: most chunks that are unfinished at a time; *iterables* are read no further until a result is
                taken. None reads and submits all at once.

        Raises:
            RuntimeError: the pool was shut down.
            TimeoutError: from the iterator; the rest is cancelled, as it is when the iterator is closed or *fn* raises.
        """
        _check_sizes(chunksize, buffersize)
        deadline = None if timeout is None else time.monotonic() + timeout
        calls = zip(*iterables, strict=False)
        if chunksize == 1:
            app = self._app_of(fn)
            futures = (self._submit(app, call, {}) for call in calls)
        else:
            app = AppFunction(_over_chunk(fn), name=AppFunction(fn).name)
            futures = (self._submit(app, (chunk,), {}) for chunk in _chunks(calls, chunksize))
        begun = collections.deque(itertools.islice(futures, buffersize))
        results = _in_order(begun, futures, deadline)
        return results if chunksize == 1 else _flat(results)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - Python's
        """Accept no more calls, wait for unfinished ones, then end the run. Further calls of `shutdown` are allowed.

        Args:
            wait: return after all that; False leaves the waiting to a thread.
            cancel_futures: cancel unfinished calls instead of waiting for their results.
        """
        with self._lock:
            self._closed = True
        if cancel_futures:
            for future in self._unfinished.copy():
                if not future.running():
                    future.cancel()
        if not wait:
            self._start_finisher()
        elif self._finisher is not None:
            self._finisher.join()
        else:
            self._finish()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.shutdown()
        else:
            with self._lock:
                self._closed = True
            self._end()

    def _submit(self, app: AppFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AppFuture:
        with self._lock:  # a call is either refused, or among those that `shutdown` waits for
            if self._closed:
                raise RuntimeError(f"{app.name} was submitted after the PoolExecutor was shut down.")
            try:
                future = self._dfk.submit(app, args, kwargs, self._options)
            except ExecutorClosedError as error:
                raise RuntimeError(str(error)) from error
            self._unfinished.add(future)
        on_done(future, self._unfinished.discard)
        return future

    def _app_of(self, fn: Callable[..., Any]) -> AppFunction:
        """Return the same app for the same function, which is then sent once.

        Callables that may change between two calls, closures and objects, are sent with each.
        """
        is_constant = isinstance(fn, BuiltinFunctionType) or (isinstance(fn, FunctionType) and fn.__closure__ is None)
        return self._cached_app_of(fn) if is_constant else AppFunction(fn)

    def _start_finisher(self) -> None:
        with self._lock:
            if self._finisher is None:
                self._finisher = threading.Thread(target=self._finish, name="cnflow-pool-shutdown")
                self._finisher.start()

    def _finish(self) -> None:
        try:
            self._wait()
        finally:
            self._end()

    def _wait(self) -> None:
        if self._own_run:
            self._dfk.wait_for_current_tasks()
        else:
            concurrent.futures.wait(self._unfinished.copy())

    def _end(self) -> None:
        if self._own_run:
            self._dfk.cleanup()
        else:
            for future in self._unfinished.copy():
                future.cancel()
        self._forget_exit()


def _new_run(config: Config | str | os.PathLike[str] | None) -> DataFlowKernel:
    dfk = new_run(select_config(config, "cnflow.PoolExecutor") or Config())
    start(dfk)
    return dfk


def _check_sizes(chunksize: int, buffersize: int | None) -> None:
    if chunksize < 1:
        raise ValueError(f"chunksize={chunksize} must be at least 1.")
    if buffersize is not None and buffersize < 1:
        raise ValueError(f"buffersize={buffersize} must be at least 1, or None.")


def _chunks(calls: Iterator[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    while chunk := list(itertools.islice(calls, size)):
        yield chunk


def _over_chunk(fn: Callable[..., T]) -> Callable[[list[tuple[Any, ...]]], list[T]]:
    """Make a function of a chunk: a closure, since closures are sent whole, and workers may lack this module."""

    def call_each(chunk: list[tuple[Any, ...]]) -> list[T]:
        return [fn(*call) for call in chunk]

    # The user's module is sent whole or not by this name, so the closure takes that of the user's function.
    call_each.__module__ = getattr(fn, "__module__", None) or call_each.__module__
    return call_each


def _in_order(begun: collections.deque[AppFuture], more: Iterator[AppFuture], deadline: float | None) -> Generator[Any]:
    """Yield the results of the futures in *begun*, and take one of *more* for each; cancel the rest at the end."""
    try:
        while begun:
            result = begun[0].result(None if deadline is None else deadline - time.monotonic())
            begun.popleft()
            begun.extend(itertools.islice(more, 1))
            yield result
            del result  # may be large
    finally:
        for future in begun:
            future.cancel()


def _flat(chunks: Generator[list[T]]) -> Iterator[T]:
    with contextlib.closing(chunks):  # closed when this one is, not when it is collected
        for chunk in chunks:
            yield from chunk
