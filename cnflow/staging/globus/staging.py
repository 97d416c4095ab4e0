"""The staging for ``globus:``: files are copied by Globus between their collection and that of the executor's nodes.

::

    in:   stage_in ──> transfer to a folder that the nodes see ──> the task reads the copy
          a file on the nodes' own collection is read where it is
    out:  the task writes a copy ──> stage_out ──> transfer to the URL, the copy is removed

With `through_driver`, the copies are in the folder of the run, and travel from there over the tasks' connection.
"""

from __future__ import annotations

import os
import posixpath
import uuid
from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError, MissingExtraError
from cnflow.interfaces.staging import Staging
from cnflow.model.visible_files import enclosing_folder
from cnflow.staging.built_in import offered, store_of
from cnflow.staging.file_names import safe_name
from cnflow.staging.globus.copies import Kept, after
from cnflow.staging.globus.credentials import find_credentials
from cnflow.staging.globus.paths import Mapping, Place, collection_id, place_of
from cnflow.staging.through_driver import shares_copies
from cnflow.tasks.staging.steps import OUT
from cnflow.tasks.staging.wrappers import MakeOutputFolders, as_function

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

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
        through_driver: the collection is one that the driver sees, such as that of a laptop, and the nodes do not:
            files travel between it and them over the connection of the tasks.
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
        through_driver: bool = False,  # noqa: FBT001, FBT002 - the same
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
        self.through_driver = through_driver

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
        """Submit a copy to the folder of the executor's nodes, or of the driver, unless the nodes see the file itself.

        Tasks that ask for one file at the same time share the copy, which is removed with the last of them.
        """
        source = place_of(file)
        own = None if self.through_driver else self._mapping.to_path(source)
        if own is not None and _is_seen(dm, executor, own):
            file.local_path = own
            return None
        path, target = self._place_copy(dm, executor, file, source)
        transfers, options = self._transfers(dm), _options_of(dm, file)

        def begin() -> Future[Any]:
            return after(transfers.copy(source, target, **options), lambda _: Kept(path))

        def place(kept: Kept) -> File | Future[File]:
            if self.through_driver and not shares_copies(dm, executor):
                return after(offered(store_of(dm, executor), file, kept.path), lambda held: _holding(held, kept))
            file.local_path, file.hold = kept.path, kept
            return file

        if parent_fut is not None:  # it makes a new version of the file
            return after(after(parent_fut, lambda _: begin()), place)
        scope = "" if self.through_driver else executor
        return after(transfers.share((scope, source, *options.values()), begin), place)

    def place_of_output(self, dm: DataManager, executor: str, file: File) -> str | None:
        """Have the output travel to the driver, if that has it copied and the tasks do not see its folder."""
        if not self.through_driver or shares_copies(dm, executor):
            return None
        store_of(dm, executor)
        return self._place_copy(dm, executor, file, place_of(file))[0]

    def stage_out(self, dm: DataManager, executor: str, file: File, app_fu: Future[Any]) -> Future[Any]:
        """Submit a copy of what the task has written, once it is done."""
        target = place_of(file)
        if file.local_path is None:
            file.local_path = self._place_copy(dm, executor, file, target)[0]
        path = file.local_path
        source = self._on_collection(executor, file, path)
        transfers = self._transfers(dm)

        def submit(_: object) -> Future[Any]:
            return transfers.copy(source, target, **_options_of(dm, file), step=OUT)

        def remove_copy(_: object) -> File:
            Kept(path).remove()
            return file

        return after(after(app_fu, submit), remove_copy)

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

    def _place_copy(self, dm: DataManager, executor: str, file: File, place: Place) -> tuple[str, Place]:
        """Return a new path for the copy of *file*, and its place on the collection."""
        name = safe_name(posixpath.basename(place.path.rstrip("/")))
        if self.through_driver:
            path = str(dm.dfk.run_dir / "staged" / f"globus-{uuid.uuid4().hex[:12]}" / name)
        else:
            path = dm.place(executor, name)
        return path, self._on_collection(executor, file, path)

    def _on_collection(self, executor: str, file: File, path: str) -> Place:
        found = self._mapping.to_place(path) if os.path.isabs(path) else None  # noqa: PTH117 - of another machine, maybe
        if found is not None:
            return found
        where = "Config(run_dir=...)" if self.through_driver else "its working_dir"
        raise ConfigurationError(
            f"{file.url} cannot be staged for executor {executor!r}: its copy would be at {path!r}, which is not in "
            f"local_path={self.local_path!r} of the GlobusStaging. Set {where} to a folder in that."
        )

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


def _options_of(dm: DataManager, file: File) -> dict[str, Any]:
    digest = getattr(file, "sha256", None)
    return {
        "is_folder": bool(getattr(file, "directory", False)),
        "sha256": digest or "",
        "retries": dm.dfk.staging_retries,
    }


def _holding(file: File, kept: Kept) -> File:
    file.hold = (file.hold, kept)
    return file
