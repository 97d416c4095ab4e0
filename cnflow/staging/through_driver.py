"""Moves files in threads of the driver, for nodes that cannot: their image lacks the program, or their network the way.

::

    in:   fetch ──> thread of the driver: server ──> copy in the run's folder ──> the task sees it there, or it
                                                                                  travels over the task's connection
    out:  the task writes the copy in the run's folder, or it travels there ──> send ──> thread of the driver: server

A copy is removed with the last file that refers to it.

Threads are started when there is something to do, at most `MOST` per run, and end when there is nothing left.
"""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import StagingError
from cnflow.model.visible_files import enclosing_folder
from cnflow.staging.built_in import TemporaryFolder, Transfer, offered, store_of
from cnflow.tasks.staging.movers import send_file
from cnflow.tasks.staging.steps import IN, staging_step

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

    future: Future[TemporaryFolder]
    """Of its folder."""

    since: float
    terms: object


class DriverTransfers:
    """Moves the files of one run (`cnflow.interfaces.StagingService`). Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: deque[_Order] = deque()
        self._moving: set[Future[Any]] = set()
        self._threads = 0
        self._copies: dict[str, _Copy] = {}
        """By URL, the oldest first."""

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

    def copy(self, url: str, terms: object, path: str, function: Callable[[str], None]) -> Future[TemporaryFolder]:
        """Call ``function(path)``, which writes a copy of the file at *url*, and return its folder.

        A copy that is on its way, or came a moment ago, is used instead, if it was made on equal *terms*: who moves
        it, and what the user says of its content. Then the folder is another one.
        """
        now = time.monotonic()
        old: list[_Copy] = []  # whose folders are removed without the lock
        with self._lock:
            # Only as many as are of no use are looked at: a loop may submit thousands of files in a minute.
            while self._copies and not _is_of_use(next(iter(self._copies.values())), now):
                old.append(self._copies.pop(next(iter(self._copies))))
            known = self._copies.get(url)
        old.clear()
        if known is not None and known.terms == terms and _is_of_use(known, now):
            return known.future
        future = self.submit(_made, path, function)
        with self._lock:
            known = self._copies.pop(url, None)
            self._copies[url] = _Copy(future, now, terms)
        return future

    def forget(self, url: str) -> None:
        """Note that the file at *url* has changed."""
        with self._lock:
            known = self._copies.pop(url, None)
        del known  # and perhaps its folder, without the lock

    def close(self) -> None:
        """Fail what is not done; a thread that moves a file is not waited for."""
        with self._lock:
            self._is_closed = True
            left = [*(order.future for order in self._orders), *self._moving]
            self._orders.clear()
            self._moving.clear()
            copies, self._copies = self._copies, {}
        copies.clear()
        for future in left:
            future.set_exception(_ended())

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._orders:
                    self._threads -= 1
                    return
                order = self._orders.popleft()
                self._moving.add(order.future)
            try:
                value = order.function(*order.args)
            except BaseException as error:  # noqa: BLE001 - the future's
                if self._finish(order):
                    order.future.set_exception(error)
            else:
                if self._finish(order):
                    order.future.set_result(value)

    def _finish(self, order: _Order) -> bool:
        """Note that *order* was carried out; return False if `close` has failed its future."""
        with self._lock:
            is_awaited = order.future in self._moving
            self._moving.discard(order.future)
        return is_awaited


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
        Future of a copy of *file* with its path, or with its item.
    """
    store = None if shares_copies(dm, executor) else store_of(dm, executor)
    transfers = dm.service("through the driver", DriverTransfers)
    placed: Future[File] = Transfer(file)
    path, terms = _own_place(dm, name), (mover, name, file.sha256, file.size, file.directory)

    def begin() -> None:
        if parent is not None:
            transfers.forget(file.url)
        copied = transfers.copy(file.url, terms, path, lambda to: _bring(_at(file, to), mover))
        copied.add_done_callback(on_copied)

    def on_copied(copied: Future[TemporaryFolder]) -> None:
        if _fails_with(copied, placed):
            return
        folder = copied.result()
        copy = _at(file, str(Path(folder.path, name)))
        if store is None:
            copy.hold = folder
            placed.set_result(copy)
        else:
            offered(store, file, str(copy.local_path)).add_done_callback(lambda offer: on_offered(offer, folder))

    def on_offered(offer: Future[File], folder: TemporaryFolder) -> None:
        if not _fails_with(offer, placed):
            held = offer.result()
            held.hold = (held.hold, folder)
            placed.set_result(held)

    _after(parent, placed, begin)
    return placed


def place_of_output(dm: DataManager, executor: str, name: str) -> str | None:
    """Path on the driver's machine to which an output travels that `send` takes away; None where tasks see the copy."""
    if shares_copies(dm, executor):
        return None
    store_of(dm, executor)
    return _own_place(dm, name)


def send(dm: DataManager, file: File, name: str, app_fu: Future[Any], mover: Mover) -> Future[None]:
    """Take what the task of *app_fu* wrote for *file* to its URL by *mover*, in a thread of the driver.

    Sets the path that the task writes to, unless the file travels to one; the copy is removed in the end.

    Returns:
        Future that is done when the file is there; it fails if the task does.
    """
    transfers = dm.service("through the driver", DriverTransfers)
    sent: Future[None] = Future()
    if file.local_path is None:
        file.local_path = _own_place(dm, name)
    copy = _at(file, file.local_path)

    def begin() -> None:
        transfers.forget(file.url)
        transfers.submit(send_file, copy, mover).add_done_callback(on_sent)

    def on_sent(done: Future[Any]) -> None:
        if not _fails_with(done, sent):
            sent.set_result(None)

    _after(app_fu, sent, begin)
    return sent


def shares_copies(dm: DataManager, executor: str) -> bool:
    """Return True if the tasks of *executor* see the copies in the run's folder, as the driver does."""
    live = dm.dfk.executors.get(executor)  # join apps run in none
    visible = getattr(live, "visible_files", None)
    if live is None or visible is None:
        return live is None or not live.image
    return bool(enclosing_folder(str(dm.dfk.run_dir), visible.own))


def _own_place(dm: DataManager, name: str) -> str:
    """Path for a copy on this machine, in a folder of its own."""
    return str(dm.dfk.run_dir / "staged" / f"driver-{uuid.uuid4().hex[:12]}" / name)


def _after(parent: Future[Any] | None, follower: Future[Any], begin: Callable[[], None]) -> None:
    """Call *begin* once *parent* is done, or fail *follower* if that failed; nothing if *follower* was cancelled."""

    def on_done(done: Future[Any]) -> None:
        if follower.set_running_or_notify_cancel() and not _fails_with(done, follower):
            begin()

    if parent is None:
        follower.set_running_or_notify_cancel()
        begin()
    else:
        parent.add_done_callback(on_done)


def _fails_with(done: Future[Any], follower: Future[Any]) -> bool:
    """Give *follower* the error of *done*; return False if that has none."""
    error = StagingError("The task that makes the file was cancelled.") if done.cancelled() else done.exception()
    if error is not None:
        follower.set_exception(error)
    return error is not None


def _made(path: str, function: Callable[[str], None]) -> TemporaryFolder:
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StagingError(f"The folder of {path} cannot be made: {error}") from error
    try:
        function(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return TemporaryFolder(str(folder))


def _bring(copy: File, mover: Mover) -> None:
    with staging_step(IN, copy):
        mover.bring(copy)


def _at(file: File, path: str) -> File:
    placed = file.cleancopy()
    placed.local_path = path
    return placed


def _is_of_use(copy: _Copy, now: float) -> bool:
    """Return True if *copy* is on its way, or has come a moment ago."""
    done = copy.future
    return not done.done() or (now - copy.since < _FRESH and not done.cancelled() and done.exception() is None)


def _ended() -> StagingError:
    return StagingError("The run has ended before the file was moved.")
