"""Brings a file once to a node for all tasks that read the same content of it, in the area that they share.

::

    SHA-256 of the `File` ───────────────────────> name of the content ──> in the area? ──> a link for this task
    version that the server names (ETag, date) ──>                         └── brought once; others wait for it
    neither ──> brought for this task alone
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Any, Callable, Optional

from cnflow.tasks.area import Area, root_of_worker
from cnflow.tasks.staging.copies import at_end_of_task, remove_after_task
from cnflow.tasks.staging.steps import IN, staging_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.model.file import File
    from cnflow.tasks.staging.wrappers import Mover

_NAME_SIZE = 16


def bring_all_for_task(files: Sequence[File], mover: Mover) -> None:
    """Do as `bring_for_task` for each of *files*; together those that no other task shares, if *mover* can.

    Raises:
        StagingError: one cannot be brought.
    """
    together: Optional[Callable[[list[File]], None]] = getattr(mover, "bring_many", None)
    alone = [file for file in files if not (root_of_worker() and _name_of_content(file, mover))] if together else []
    if together is not None and len(alone) > 1:
        for file in alone:
            remove_after_task(file.filepath)
        together(alone)
        files = [file for file in files if file not in alone]
    for file in files:
        with staging_step(IN, file):
            bring_for_task(file, mover)


def bring_for_task(file: File, mover: Mover) -> None:
    """Bring *file* by *mover*, or link what another task has brought; ``local_path`` is set, and ends with the task.

    Raises:
        StagingError: it cannot be brought.
    """
    root = root_of_worker()
    name = _name_of_content(file, mover) if root else b""
    if not name:
        remove_after_task(file.filepath)
        mover.bring(file)
        return
    area = Area(root)
    folder = at_end_of_task().enter_context(area.task_folder())
    link = f"{folder}/in/{os.path.basename(file.filepath)}"
    area.fetch_once(name, lambda path: mover.bring(_at(file, path)), link)
    file.local_path = link


def _at(file: File, path: str) -> File:
    copy = file.__copy__()
    copy.local_path = path
    return copy


def _name_of_content(file: File, mover: Any) -> bytes:  # noqa: ANN401 - a Mover, which may have a method `version`
    """Digest of all that the content depends on; empty where that is not known."""
    if file.directory or file.glob:
        return b""
    if file.sha256 is not None:
        what = f"sha256:{file.sha256}:{file.size}"
    else:
        version = getattr(mover, "version", None)
        told = ""
        if version is not None:
            with contextlib.suppress(Exception):  # the transfer itself has the same error, and reports it
                told = version(file)
        if not told:
            return b""
        what = f"{file.url}\n{told}\n{file.size}\n{mover!r}"
    return hashlib.blake2b(what.encode(errors="surrogateescape"), digest_size=_NAME_SIZE).digest()
