"""Staging by the connection of the tasks, for files that driver and tasks do not share; nothing else is needed.

::

    in:   stage_in: digest, offered to tasks ──> File.item ──manager fetches it once──> linked into the task's folder
    out:  place_of_output ──> the worker leaves the file on its node ──> brought to its path, then the task is done
          a temporary file is left there, and is the item of the task that reads it

Folders and patterns travel as tar streams (`cnflow.tasks.trees`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cnflow.errors import ConfigurationError, StagingError
from cnflow.interfaces.staging import Staging
from cnflow.model.file import File
from cnflow.model.item import Item, ItemForm
from cnflow.staging.file_names import is_on_this_machine, safe_name
from cnflow.tasks.trees import split_pattern
from cnflow.text import mask_url

if TYPE_CHECKING:
    from cnflow.interfaces.items import ItemStore
    from cnflow.interfaces.staging import DataManager

_CHUNK = 1024 * 1024
_MOST_VERIFIED = 100_000
_verified: set[tuple[bytes, str | None]] = set()
"""Keys of contents with their SHA-256: a file that a thousand tasks read is not read a thousand times."""


class BuiltInStaging(Staging):
    """Moves files over the connection of the tasks: paths of this machine, and temporary files.

    It is chosen for paths that the tasks of an executor do not see, whether listed or not, and for temporary files.
    Listed before others, it moves all paths, also those that tasks see.
    """

    schemes = ("file", "temp")

    def can_stage_in(self, file: File) -> bool:
        """Return whether *file* is a path of this machine, or temporary."""
        return is_on_this_machine(file) or file.scheme == "temp"

    def can_stage_out(self, file: File) -> bool:
        """Same as `can_stage_in`."""
        return self.can_stage_in(file)

    def stage_in(self, dm: DataManager, executor: str, file: File, parent_fut: Future[Any] | None) -> Future[Any]:
        """Offer *file* to the executor's tasks, once *parent_fut* has made it; the future's file has the item."""
        store = store_of(dm, executor)
        brought = Transfer(file)
        if parent_fut is None and file.scheme == "temp":
            parent_fut = _made(file)
        if parent_fut is None:
            _offer_path(store, file, file.path, brought)
        else:
            away = _new_path(dm, File.temp(safe_name(file.filename)))
            parent_fut.add_done_callback(lambda done: _on_made(store, file, done, brought, away))
        return brought

    def place_of_output(self, dm: DataManager, executor: str, file: File) -> str:
        """Return the path that *file* is brought to; empty for a temporary one."""
        store_of(dm, executor)
        if file.scheme == "temp":
            return ""
        path = os.path.abspath(file.path)  # noqa: PTH100 - a text
        return split_pattern(path).base if file.glob else path


class Transfer(Future[Any]):
    """Future of a file on its way to a task."""

    def __init__(self, file: File) -> None:
        super().__init__()
        self._url = file.url

    def __repr__(self) -> str:
        return f"transfer of {mask_url(self._url)}"


class RunFolderStaging(Staging):
    """Keeps temporary files in the run's folder, where tasks and driver see it under one path."""

    schemes = ("temp",)

    def can_stage_in(self, file: File) -> bool:
        """Return whether *file* is temporary."""
        return file.scheme == "temp"

    def can_stage_out(self, file: File) -> bool:
        """Same as `can_stage_in`."""
        return file.scheme == "temp"

    def stage_in(
        self,
        dm: DataManager,
        executor: str,  # noqa: ARG002 - part of the seam
        file: File,
        parent_fut: Future[Any] | None,
    ) -> Future[Any] | None:
        """Set the path of *file*; one that was left on a node is brought there first."""
        file.local_path = str(_new_path(dm, file))
        brought = Transfer(file)
        away = _new_path(dm, File.temp(file.filename))
        made = _made(file) if parent_fut is None else parent_fut
        made.add_done_callback(lambda done: _bring(file, done, brought, away))
        return brought

    def stage_out(self, dm: DataManager, executor: str, file: File, app_fu: Future[Any]) -> None:  # noqa: ARG002 - the same
        """Set the path of *file*, and make its folder."""
        path = _new_path(dm, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        file.local_path = str(path)


RUN_FOLDER = RunFolderStaging()


class _RunFolder:
    """Removes the temporary files of a run at its end, which other objects may still refer to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # other copies are there
            self._folder.parent.rmdir()


def _new_path(dm: DataManager, file: File) -> Path:
    """Path of a temporary file in the folder of the run, in a folder of its own."""
    folder = Path(dm.dfk.run_dir) / "staged" / "temp"
    dm.service("temporary files", lambda: _RunFolder(folder))
    return folder / file.path.split("/")[1] / file.filename


class FileMaker(Protocol):
    """Makes files again that were lost with their node."""

    def remake(self, file: File) -> Future[None]:
        """Make *file* again; the future is done once it has another item."""


class Hold:
    """Keeps an item for as long as the files exist that refer to it.

    Args:
        store: where it is held once.
        item: the item.
        maker: makes the file again where the item is lost; None for files of this machine.
    """

    __slots__ = ("__weakref__", "item", "maker", "store")

    def __init__(self, store: ItemStore, item: Item, maker: FileMaker | None = None) -> None:
        self.store = store
        self.item = item
        self.maker = maker

    def __del__(self) -> None:
        self.store.release(self.item)


class TemporaryFolder:
    """Folder that is removed with the last file that refers to it.

    Args:
        path: of the folder, in which there is nothing else.
    """

    __slots__ = ("_getpid", "_process", "_remove", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._remove, self._getpid = shutil.rmtree, os.getpid  # the modules may be gone as the interpreter ends
        self._process = os.getpid()

    def remove(self) -> None:
        """Remove the folder; does nothing where there is none, and in a child that was forked."""
        if self._getpid() == self._process:
            self._remove(self.path, ignore_errors=True)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter ends
            self.remove()


def store_of(dm: DataManager, executor: str) -> ItemStore:
    """Return the store of *executor*.

    Raises:
        ConfigurationError: its tasks run in the driver, or it has none for another reason.
    """
    store: ItemStore | None = getattr(dm.dfk.executors[executor], "items", None)
    if store is None:
        raise ConfigurationError(
            f"BuiltInStaging cannot be used with executor {executor!r}, whose tasks get no files over its connection. "
            "Leave it out of storage_access."
        )
    return store


def form_of(file: File) -> ItemForm:
    """Return the form in which *file* travels."""
    return ItemForm.TREE if file.directory or file.glob else ItemForm.FILE


def offered(store: ItemStore, file: File, path: str) -> Future[Any]:
    """Offer the content at *path* to tasks as *file*: the future's value is a copy of *file* with the item."""
    brought: Future[Any] = Future()
    _offer_path(store, file, path, brought)
    return brought


def _offer_path(store: ItemStore, file: File, path: str, brought: Future[Any]) -> None:
    def on_offered(future: Future[Item]) -> None:
        held: File | None = None
        try:
            item = future.result()
            held = _with_item(file, item, Hold(store, item))
            _check(file, path, item)
        except BaseException as error:  # noqa: BLE001 - it is that of the task
            held = None  # the error's traceback refers to this frame, which would hold the item
            brought.set_exception(error)
        else:
            brought.set_result(held)

    try:
        _check_kind(file, path)
        future = store.offer_file(path, form_of(file))
    except Exception as error:  # noqa: BLE001 - the same: the executor may have ended
        brought.set_exception(error)
        return
    future.add_done_callback(on_offered)


def _check_kind(file: File, path: str) -> None:
    """Raise the StagingError of a *path* that is no folder, where the user says so."""
    if file.directory and not os.path.isdir(path):  # noqa: PTH112 - a text
        raise StagingError(f"{path} is no folder, but was passed as File(..., directory=True).")


def _on_made(store: ItemStore, file: File, done: Future[Any], brought: Future[Any], away: Path) -> None:
    """Pass the file that a task has made on: as it lies on its node, or from this machine."""
    try:
        made: File = done.result()
        held = made.hold
        if isinstance(held, Hold) and held.store is store:
            brought.set_result(_with_item(file, held.item, held))
        elif isinstance(held, Hold):
            _fetch_and_offer(held, store, file, brought, away)
        else:
            _offer_path(store, file, made.local_path or file.path, brought)
    except BaseException as error:  # noqa: BLE001 - it is that of the task
        brought.set_exception(error)


def _made(file: File) -> Future[Any]:
    """Return the future of a temporary *file* that the user has from a task which is done.

    Its error: no task has made it.
    """
    made: Future[Any] = Future()
    if file.hold is None:
        made.set_exception(
            StagingError(
                f"{file.url} was made by no task that is done. Pass the DataFuture of the task that makes it, such as "
                "future.outputs[0]."
            )
        )
    else:
        if isinstance(file.hold, TemporaryFolder):
            file.local_path = f"{file.hold.path}/{file.filename}"
        made.set_result(file)
    return made


def _bring(file: File, done: Future[Any], brought: Future[Any], path: Path) -> None:
    """Bring the temporary file that a task has made to *path*, unless it is in the folder of the run."""

    def on_fetched(fetched: Future[str]) -> None:
        error = fetched.exception()
        if error is None:
            file.local_path, file.hold = str(path), TemporaryFolder(str(path.parent))
            brought.set_result(file)
        else:
            brought.set_exception(error)

    try:
        held = done.result().hold
        if isinstance(held, Hold):
            path.parent.mkdir(parents=True, exist_ok=True)
            held.store.fetch(held.item, str(path)).add_done_callback(on_fetched)
        else:
            file.hold = held
            brought.set_result(file)
    except BaseException as error:  # noqa: BLE001 - it is that of the task
        brought.set_exception(error)


def _fetch_and_offer(held: Hold, store: ItemStore, file: File, brought: Future[Any], away: Path) -> None:
    """Bring a temporary file of another executor here, and offer it."""

    def on_fetched(fetched: Future[str]) -> None:
        try:
            fetched.result()
        except BaseException as error:  # noqa: BLE001 - it is that of the task
            brought.set_exception(error)
            return
        folder = TemporaryFolder(str(away.parent))
        offer: Future[Any] = Future()
        offer.add_done_callback(lambda _: _pass_on(offer, brought, folder))
        _offer_path(store, file, str(away), offer)

    away.parent.mkdir(parents=True)
    held.store.fetch(held.item, str(away)).add_done_callback(on_fetched)


def _pass_on(offer: Future[Any], brought: Future[Any], folder: TemporaryFolder) -> None:
    error = offer.exception()
    if error is not None:
        brought.set_exception(error)
        return
    file: File = offer.result()
    file.hold = (file.hold, folder)
    brought.set_result(file)


def _with_item(file: File, item: Item, hold: object) -> File:
    made = file.cleancopy()
    made.item, made.hold = item, hold
    return made


def _check(file: File, path: str, item: Item) -> None:
    """Compare the content with what the user says of it.

    Raises:
        StagingError: it has another size or checksum.
    """
    if file.size is not None and file.size != item.size:
        raise StagingError(f"{path} has {item.size:,} bytes, and not {file.size:,} as its File says.")
    pair = item.key, file.sha256
    if file.sha256 is None or pair in _verified:
        return
    found = _sha256_of(path)
    if found != file.sha256:
        raise StagingError(f"{path} has the SHA-256 {found}, and not {file.sha256} as its File says.")
    if len(_verified) >= _MOST_VERIFIED:
        _verified.clear()
    _verified.add(pair)


def _sha256_of(path: str) -> str:
    found = hashlib.sha256()
    with Path(path).open("rb") as content:
        while data := content.read(_CHUNK):
            found.update(data)
    return found.hexdigest()
