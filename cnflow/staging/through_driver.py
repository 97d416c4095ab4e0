"""Moves files in threads of the driver, for nodes that cannot: their image lacks the program, or their network the way.

::

    in:   fetch ──> thread of the driver: server ──> copy in the run's folder ──> the task sees it there, or
                                                                            └──> built-in transfer to its node
    out:  the task's file is in the run's folder ──> send ──> thread of the driver: copy ──> server ──> copy is removed

Threads are started when there is something to do, at most `MOST` per run, and end when there is nothing left.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ConfigurationError, StagingError
from cnflow.model.visible_files import enclosing_folder
from cnflow.tasks.staging.movers import send_file
from cnflow.tasks.staging.wrappers import MakeOutputFolders, wrapped_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.interfaces.staging import DataManager
    from cnflow.model.file import File
    from cnflow.tasks.staging.wrappers import Mover

MOST = 8
"""Files of a run that the driver moves at the same time."""

_FRESH = 60.0
"""Seconds during which a file that came serves other tasks, too; a file may change on its server."""


class _Order(NamedTuple):
    future: Future[Any]
    function: Callable[..., Any]
    args: tuple[Any, ...]


class _Copy(NamedTuple):
    """Copy of a file, which is on its way or has come."""

    future: Future[str]
    """Of its path."""

    since: float


class DriverTransfers:
    """Moves the files of one run (`cnflow.interfaces.StagingService`). Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: deque[_Order] = deque()
        self._threads = 0
        self._copies: dict[object, _Copy] = {}
        self._is_closed = False

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:  # noqa: ANN401 - the function's own
        """Call *function* in a thread, as soon as one is free."""
        order = _Order(Future(), function, args)
        with self._lock:
            if self._is_closed:
                order.future.set_exception(_ended())
                return order.future
            self._orders.append(order)
            is_new = self._threads < MOST
            self._threads += is_new
        if is_new:
            threading.Thread(target=self._work, name="cnflow-transfers", daemon=True).start()
        return order.future

    def copy(self, key: object, path: str, function: Callable[[str], None]) -> Future[str]:
        """Call ``function(path)``, which writes a copy of the file that *key* names, and return the path.

        A copy that is on its way, or came a moment ago, is used instead: then the path is another one.
        """
        now = time.monotonic()
        with self._lock:
            known = self._copies.get(key)
        if known is not None and (not known.future.done() or _is_fresh(known, now)):
            return known.future
        future = self.submit(_made, path, function)
        with self._lock:
            self._copies[key] = _Copy(future, now)
        return future

    def forget(self, key: object) -> None:
        """Note that the file that *key* names has changed."""
        with self._lock:
            self._copies.pop(key, None)

    def close(self) -> None:
        """Fail what has not begun; a thread that moves a file is not waited for, and its future fails."""
        with self._lock:
            self._is_closed = True
            left = list(self._orders)
            self._orders.clear()
        for order in left:
            order.future.set_exception(_ended())

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._orders:
                    self._threads -= 1
                    return
                order = self._orders.popleft()
            try:
                value = order.function(*order.args)
            except BaseException as error:  # noqa: BLE001 - the future's
                order.future.set_exception(error)
            else:
                order.future.set_result(value)


def fetch(
    dm: DataManager, executor: str, file: File, name: str, parent: Future[Any] | None, mover: Mover
) -> Future[File]:
    """Bring *file* to the tasks of *executor* by *mover*, in a thread of the driver, once *parent* is done.

    Args:
        dm: the run's data manager.
        executor: label.
        file: is not changed.
        name: of the copy.
        parent: future of the task that makes the file; if it fails, so does the file.
        mover: writes files in this process.

    Returns:
        Future of a copy of *file* with its path.
    """
    _check_shared(dm, executor, file)
    transfers = dm.service("through the driver", DriverTransfers)
    placed: Future[File] = Future()
    path = _own_place(dm, name)

    def begin() -> None:
        if parent is not None:
            transfers.forget(file.url)
        copy = transfers.copy(file.url, path, lambda to: mover.bring(_at(file, to)))
        _chain(copy, placed, lambda found: _at(file, found))

    if parent is None:
        begin()
    else:
        _after(parent, placed, begin)
    return placed


def around_input(dm: DataManager, executor: str, func: Callable[..., Any]) -> Callable[..., Any] | None:  # noqa: ARG001
    """The function for a task whose input `fetch` brings; None for *func* itself."""
    return None


def send(dm: DataManager, executor: str, file: File, name: str, app_fu: Future[Any], mover: Mover) -> Future[None]:
    """Take what the task of *app_fu* wrote for *file* to its URL by *mover*, in a thread of the driver.

    Sets the path that the task writes to; the copy is removed in the end.

    Returns:
        Future that is done when the file is there; it fails if the task does.
    """
    transfers = dm.service("through the driver", DriverTransfers)
    sent: Future[None] = Future()
    _check_shared(dm, executor, file)
    file.local_path = dm.place(executor, name)
    copy = _at(file, file.local_path)

    def begin() -> None:
        transfers.forget(file.url)
        _chain(transfers.submit(send_file, copy, mover), sent, lambda _: None)

    _after(app_fu, sent, begin)
    return sent


def around_output(dm: DataManager, executor: str, func: Callable[..., Any]) -> Callable[..., Any]:  # noqa: ARG001
    """The function for a task whose output `send` takes away."""
    return wrapped_once(func, MakeOutputFolders(func))


def shares_copies(dm: DataManager, executor: str) -> bool:
    """Return True if the tasks of *executor* see the copies of files in the run's folder, as the driver does."""
    live = dm.dfk.executors.get(executor)  # join apps run in none
    visible = getattr(live, "visible_files", None)
    if live is None or visible is None:
        return live is None or not live.image
    return bool(enclosing_folder(live.working_dir or str(dm.dfk.run_dir), visible.own))


def _check_shared(dm: DataManager, executor: str, file: File) -> None:
    if not shares_copies(dm, executor):
        raise ConfigurationError(
            f"{file.url} cannot be moved by the driver for executor {executor!r}, whose tasks do not see the run's "
            "folder. Write way='in_task', and have the packages in its image."
        )


def _own_place(dm: DataManager, name: str) -> str:
    """Path for a copy on this machine that no other file has."""
    return str(dm.dfk.run_dir / "staged" / f"driver-{uuid.uuid4().hex[:12]}" / name)


def _after(parent: Future[Any], follower: Future[Any], begin: Callable[[], None]) -> None:
    """Call *begin* once *parent* is done, or fail *follower* if that failed."""

    def on_done(done: Future[Any]) -> None:
        error = _error_of(done)
        if error is None:
            begin()
        else:
            follower.set_exception(error)

    parent.add_done_callback(on_done)


def _chain(first: Future[Any], follower: Future[Any], convert: Callable[[Any], Any]) -> None:
    """Give *follower* the converted value of *first*, or its error."""

    def on_done(done: Future[Any]) -> None:
        error = _error_of(done)
        if error is None:
            follower.set_result(convert(done.result()))
        else:
            follower.set_exception(error)

    first.add_done_callback(on_done)


def _error_of(done: Future[Any]) -> BaseException | None:
    if done.cancelled():
        return StagingError("The task that writes the file was cancelled.")
    return done.exception()


def _made(path: str, function: Callable[[str], None]) -> str:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StagingError(f"The folder of {path} cannot be made: {error}") from error
    function(path)
    return path


def _at(file: File, path: str) -> File:
    placed = file.cleancopy()
    placed.local_path = path
    return placed


def _is_fresh(copy: _Copy, now: float) -> bool:
    has_come = not copy.future.cancelled() and copy.future.exception() is None
    return has_come and now - copy.since < _FRESH and Path(copy.future.result()).exists()


def _ended() -> StagingError:
    return StagingError("The run has ended before the file was moved.")
