"""Computes the keys of files, in threads of its own: a file is read once, by its identity, however often it is offered.

::

    offer(path) ──> offers of that path that have not begun ──thread──> identity ──known──> key
                                                                           └── new ──> content is read ──> key
"""

from __future__ import annotations

import os
import stat
import tempfile
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.errors import CnflowError, ExecutorClosedError, StagingError
from cnflow.executors.high_throughput.items.known_items import FileContent, Identity
from cnflow.model.item import Item, ItemForm
from cnflow.text import describe_error
from cnflow.wire.blob_digest import digest_of_file

if TYPE_CHECKING:
    from collections.abc import Callable

_THREADS = 2
_MOST_REMEMBERED = 100_000
"""Keys of files; the oldest are forgotten, and computed again."""

_CLOCK_TICK_NS = 50_000_000
"""Two changes of a file within a tick of the file system's clock have one time: no key of so new a file is kept."""


class OfferedFiles:
    """Keys of files; the module has a picture. Safe from any thread.

    Args:
        label: of the executor; names the threads.
        offer: called with key, size, form and content of each file, as often as it was offered.

    Attributes:
        folder: for packed folders; None is that for temporary files.
    """

    def __init__(self, label: str, offer: Callable[[bytes, int, int, FileContent], Item]) -> None:
        self.folder: Path | None = None
        self._label = label
        self._offer = offer
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._is_closed = False
        self._waiting: dict[tuple[str, int], list[Future[Item]]] = {}
        """Offers of which no thread has looked at the file yet."""

        self._keys: OrderedDict[tuple[Identity, int], bytes] = OrderedDict()
        """By identity and time of the last change of the inode: who writes in place may set the other one back."""

    def offer(self, path: str, form: int) -> Future[Item]:
        """Offer the file or folder at *path*; see `cnflow.interfaces.items.ItemStore.offer_file`."""
        future: Future[Item] = Future()
        name = os.path.abspath(path), int(form)  # noqa: PTH100 - Path.absolute keeps `..`, and costs ten times as much
        with self._lock:
            if self._is_closed:
                future.set_exception(_closed(path))
                return future
            waiting = self._waiting.setdefault(name, [])
            waiting.append(future)
            if len(waiting) == 1:
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(_THREADS, f"cnflow-{self._label}-files")
                self._pool.submit(self._answer, *name)
        return future

    def close(self) -> None:
        """Fail the offers that wait; a thread that reads a file ends afterwards."""
        with self._lock:
            self._is_closed = True
            waiting, self._waiting = self._waiting, {}
            pool = self._pool
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        for (path, _), futures in waiting.items():
            for future in futures:
                future.set_exception(_closed(path))

    def _answer(self, path: str, form: int) -> None:
        with self._lock:
            futures = self._waiting.pop((path, form), [])
        try:
            key, content = self._read(path, form)
        except BaseException as error:  # noqa: BLE001 - to whoever waits for it
            for future in futures:
                future.set_exception(error if isinstance(error, CnflowError) else _unreadable(path, error))
            return
        for future in futures:
            future.set_result(self._offer(key, content.identity.size, form, content))

    def _read(self, path: str, form: int) -> tuple[bytes, FileContent]:
        if form != ItemForm.TREE:
            return self._read_file(path)
        packed = _pack(path, self.folder)
        try:
            key, content = self._read_file(packed)
        except BaseException:
            _remove(packed)
            raise
        return key, content._replace(origin=path)

    def _read_file(self, path: str) -> tuple[bytes, FileContent]:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):  # to open a pipe would wait for its writer
            found, hint = "no regular file", "Pass the path of a file."
            if stat.S_ISDIR(mode):
                found, hint = "a folder", "Pass File(path, directory=True)."
            raise StagingError(f"{path} is {found}, so it cannot be sent to a task. {hint}")
        with Path(path).open("rb", buffering=0) as file:
            begin = time.time_ns()
            status = os.fstat(file.fileno())
            identity = Identity.of(status)
            name = identity, status.st_ctime_ns
            with self._lock:
                key = self._keys.get(name)
            if key is not None:
                return key, FileContent(path, identity)
            if not identity.size and file.read(1):
                raise StagingError(f"{path} has content and no size, as files of /proc have. Pass a copy of it.")
            key = digest_of_file(file.fileno(), identity.size)
            if Identity.of(os.fstat(file.fileno())) != identity:
                raise StagingError(f"{path} was changed while it was read. Call the app when the file is complete.")
        if begin - max(name[1], identity.changed) > _CLOCK_TICK_NS:
            with self._lock:
                self._keys[name] = key
                if len(self._keys) > _MOST_REMEMBERED:
                    self._keys.popitem(last=False)
        return key, FileContent(path, identity)


def _pack(path: str, into: Path | None) -> str:
    """Pack a folder, or the files of a pattern, into a temporary file; return its path."""
    from cnflow.tasks.trees import pack_folder, pack_matches  # noqa: PLC0415 - folders are rare

    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
    descriptor, packed = tempfile.mkstemp(prefix="cnflow-tree-", dir=into)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if is_folder := Path(path).is_dir():
                pack_folder(path, file)
            is_empty = not is_folder and not pack_matches(path, file)
    except BaseException:
        _remove(packed)
        raise
    if is_empty:
        _remove(packed)
        raise StagingError(f"{path} is no folder, and no file matches it as a pattern.")
    return packed


def _remove(path: str) -> None:
    with suppress(OSError):
        Path(path).unlink()


def _unreadable(path: str, error: BaseException) -> StagingError:
    made = StagingError(f"{path} cannot be read, so it cannot be sent to a task: {describe_error(error)}.")
    made.__cause__ = error
    return made


def _closed(path: str) -> ExecutorClosedError:
    return ExecutorClosedError(f"{path} was not sent to a task when the run ended.")
