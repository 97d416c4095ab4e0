"""The staging for ``globus:``: files are copied by Globus between their collection and that of the executor's nodes.

::

    in:   stage_in ──> transfer to a folder that the nodes see ──> the task reads the copy
          a file on the nodes' own collection is read where it is
    out:  the task writes a copy ──> stage_out ──> transfer to the URL, the copy is removed
"""

from __future__ import annotations

import os
import posixpath
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError, MissingExtraError
from cnflow.interfaces.staging import Staging
from cnflow.model.visible_files import enclosing_folder
from cnflow.staging.file_names import safe_name
from cnflow.staging.globus.credentials import find_credentials
from cnflow.staging.globus.paths import Mapping, Place, collection_id, place_of
from cnflow.tasks.staging.wrappers import MakeOutputFolders, as_function

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.interfaces.staging import DataManager
    from cnflow.model.file import File
    from cnflow.staging.globus.loop import Transfers


class GlobusStaging(Staging):
    """Copies ``globus://UUID/path`` from and to the collections of Globus.

    Its driver submits and watches transfers, and moves no byte itself. It acts for an application that the user has
    registered, after ``cnflow globus auth``.

    Args:
        endpoint_uuid: collection on which the nodes of the executor keep their files.
        endpoint_path: a folder, as that collection names it.
        local_path: the same folder, as the nodes name it; the executor's ``working_dir`` is in it.
        client_id: of the application; by default the environment's ``GLOBUS_CLIENT_ID``. With
            ``GLOBUS_CLIENT_SECRET`` it acts for itself, not for its user.
        token_file: for its tokens; by default ``~/.globus/app/ID/cnflow/tokens.json``.
        encrypt: demand encryption of the data that is transferred.
        patience: seconds without progress after which a transfer that Globus reports as faulty is given up.
    """

    schemes = ("globus",)

    def __init__(  # noqa: PLR0913, PLR0917 - its first three are Parsl's, the others are options
        self,
        endpoint_uuid: str,
        endpoint_path: str | None = None,
        local_path: str | None = None,
        client_id: str | None = None,
        token_file: str | None = None,
        encrypt: bool = False,  # noqa: FBT001, FBT002 - always given by name
        patience: float = 3600.0,
    ) -> None:
        self.endpoint_uuid = collection_id(endpoint_uuid, "GlobusStaging(endpoint_uuid=...)")
        self.endpoint_path = _absolute("endpoint_path", endpoint_path)
        self.local_path = _absolute("local_path", local_path)
        if not patience > 0:
            raise ConfigurationError(f"GlobusStaging(patience={patience!r}): it must be above 0.")
        self.client_id = client_id
        self.token_file = token_file
        self.encrypt = encrypt
        self.patience = patience

    def can_stage_in(self, file: File) -> bool:
        """Return whether *file* has a ``globus:`` URL.

        Raises:
            ConfigurationError: it names no collection, or no file.
        """
        if file.scheme != "globus":
            return False
        place_of(file)
        return True

    def can_stage_out(self, file: File) -> bool:
        """Same as `can_stage_in`."""
        return self.can_stage_in(file)

    def stage_in(
        self, dm: DataManager, executor: str, file: File, parent_fut: Future[Any] | None
    ) -> Future[Any] | None:
        """Submit a copy to the folder of the executor's nodes, unless they see the file itself."""
        source = place_of(file)
        own = self._mapping.to_path(source)
        if own is not None and _is_seen(dm, executor, own):
            file.local_path = own
            return None
        target = self._place_copy(dm, executor, file, source)
        transfers = self._transfers(dm)
        return _after(parent_fut, lambda: transfers.copy(source, target, **_options_of(file)), lambda: file)

    def stage_out(self, dm: DataManager, executor: str, file: File, app_fu: Future[Any]) -> Future[Any]:
        """Submit a copy of what the task has written, once it is done."""
        target = place_of(file)
        source = self._place_copy(dm, executor, file, target)
        transfers = self._transfers(dm)
        path = str(file.local_path)

        def remove_copy() -> File:
            with suppress(OSError):  # where the driver sees it; else it stays in the folder of the nodes
                Path(path).unlink()
            return file

        return _after(app_fu, lambda: transfers.copy(source, target, **_options_of(file)), remove_copy)

    def replace_task_stage_out(
        self,
        dm: DataManager,  # noqa: ARG002 - part of the seam
        executor: str,  # noqa: ARG002 - the same
        file: File,  # noqa: ARG002 - the same
        func: Callable[..., Any],
    ) -> Callable[..., Any]:
        """Wrap *func*: first make the folder that it writes to."""
        return as_function(func if isinstance(func, MakeOutputFolders) else MakeOutputFolders(func))

    @property
    def _mapping(self) -> Mapping:
        return Mapping(self.endpoint_uuid, self.endpoint_path, self.local_path)

    def _place_copy(self, dm: DataManager, executor: str, file: File, place: Place) -> Place:
        """Set the path of the copy of *file*, and return its place on the nodes' collection."""
        path = dm.place(executor, safe_name(posixpath.basename(place.path.rstrip("/"))))
        found = self._mapping.to_place(path) if os.path.isabs(path) else None  # noqa: PTH117 - of another machine, maybe
        if found is None:
            raise ConfigurationError(
                f"{file.url} cannot be staged: the executor {executor!r} keeps copies in {path!r}, which is not in "
                f"local_path={self.local_path!r} of its GlobusStaging. Set its working_dir to a folder in that."
            )
        file.local_path = path
        return found

    def _transfers(self, dm: DataManager) -> Transfers:
        key = ("globus", self.client_id, self.token_file, self.encrypt, self.patience)
        return dm.service(key, lambda: self._make_transfers(dm.dfk.run_dir))

    def _make_transfers(self, run_dir: Path) -> Transfers:
        credentials = find_credentials(self.client_id, self.token_file, os.environ)
        with MissingExtraError.for_import("GlobusStaging", "globus"):
            from cnflow.staging.globus.client import TransferOptions  # noqa: PLC0415 - the SDK, on use
            from cnflow.staging.globus.loop import Transfers  # noqa: PLC0415 - the same
        from cnflow.clock import SystemClock  # noqa: PLC0415 - with them
        from cnflow.staging.globus.state import Rules  # noqa: PLC0415 - with them

        options = TransferOptions(f"cnflow {run_dir.name}", self.encrypt)
        return Transfers(credentials, options, Rules(patience=self.patience), SystemClock())


def _absolute(name: str, path: str | None) -> str:
    if path is None:
        return "/"
    if not path.startswith("/"):
        raise ConfigurationError(f"GlobusStaging({name}={path!r}): write an absolute path.")
    return path


def _is_seen(dm: DataManager, executor: str, path: str) -> bool:
    """Return True unless tasks of *executor* are known to have no folder that holds *path*."""
    visible = getattr(dm.dfk.executors[executor], "visible_files", None)
    return visible is None or bool(enclosing_folder(path, visible.own))


def _options_of(file: File) -> dict[str, Any]:
    digest = getattr(file, "sha256", None)
    return {"is_folder": bool(getattr(file, "directory", False)), "sha256": digest or ""}


class _Whole(Future[Any]):
    """Future of a copy that begins later; `part` is that of the copy itself."""

    part: Future[Any] | None = None

    def describe_progress(self) -> str:
        """Describe how far the copy is, for people."""
        describe = getattr(self.part, "describe_progress", None)
        return describe() if callable(describe) else "not begun"


def _after(parent: Future[Any] | None, begin: Callable[[], Future[Any]], end: Callable[[], Any]) -> Future[Any]:
    """Return a future that *begin*, called once *parent* has a value, and then *end* give their value to.

    It fails as *parent*, or as what *begin* returned.
    """
    whole = _Whole()
    whole.set_running_or_notify_cancel()

    def on_copied(done: Future[Any]) -> None:
        try:
            done.result()
            whole.set_result(end())
        except BaseException as error:  # noqa: BLE001 - the future's
            whole.set_exception(error)

    def on_parent(done: Future[Any]) -> None:
        try:
            done.result()
            begun = whole.part = begin()
        except BaseException as error:  # noqa: BLE001 - the future's
            whole.set_exception(error)
        else:
            begun.add_done_callback(on_copied)

    if parent is None:
        whole.part = begin()
        whole.part.add_done_callback(on_copied)
    else:
        parent.add_done_callback(on_parent)
    return whole
