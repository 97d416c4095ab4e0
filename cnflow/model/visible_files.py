"""Files that the tasks of an executor and the driver both see, where these are not all of this machine's. No I/O.

::

    driver's machine                          container
    /home/ann/work ─────mounted──────────────> /home/ann/work     `own`: one path, one file
    /srv/data, or a volume ──mounts={...}────> /data              `others`: outlives the container
    /tmp ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄> /tmp               another folder, which ends with the container
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class VisibleFiles(NamedTuple):
    """Folders, by their absolute paths in the containers, or on the nodes."""

    own: tuple[str, ...] = ()
    """Folders of the driver's machine, under their own paths."""

    others: tuple[str, ...] = ()
    """Folders from elsewhere, under paths that mean nothing on the driver's machine."""

    advice: str = ""
    """Sentence on how to make another folder visible."""

    def __str__(self) -> str:
        others = (folder for folder in self.others if folder != "/")  # all of another machine, and none of this one's
        return ", ".join((*self.own, *others)) or "none of its folders"


def enclosing_folder(path: str, folders: Iterable[str]) -> str:
    """Return the innermost of *folders* that holds *path*, which is absolute and normal; empty if none does."""
    holding = [folder for folder in folders if path == folder or path.startswith(folder.rstrip("/") + "/")]
    return max(holding, key=len, default="")
