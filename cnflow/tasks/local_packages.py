"""The user's local packages in a worker: folders of files, unpacked once on each node, and first on ``sys.path``.

::

    record with the files ──receive──> FOLDER/DIGEST, unless another worker of the node has unpacked it
    task of a function with it ──use──> FOLDER/DIGEST is first on sys.path, in place of the version before
                                        modules of these packages leave sys.modules, and are imported anew

The files are real ones: ``__file__``, `importlib.resources` and processes that a task starts find them. Standard
library only.
"""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import sys
import tempfile
import zlib
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = "packages"
"""Kind of content of a record, besides those of `cnflow.tasks.own_modules`."""

FOLDER_VARIABLE = "CNFLOW_WORKER_PACKAGES"
"""Variable with the folder on the node, which the manager removes at its end."""


class Unpacked(NamedTuple):
    """Packages that lie on this node."""

    folder: str
    names: frozenset[str]
    """Names by which they are imported, without parts of them."""

    error: str = ""
    """Why they could not be unpacked."""


active: Optional[Unpacked] = None


def pack(files: Sequence[tuple[str, bytes]]) -> bytes:
    """Return *files*, by relative path, as `receive` takes them."""
    return zlib.compress(pickle.dumps(list(files), 4), 1)


def receive(digest: str, names: Sequence[str], packed: bytes) -> Unpacked:
    """Unpack the packages *names*, unless they lie here already; `use` raises what goes wrong, in a task."""
    parent = os.environ.get(FOLDER_VARIABLE) or os.path.join(tempfile.gettempdir(), f"cnflow-{os.getuid()}-packages")
    folder = os.path.join(parent, digest)
    try:
        _unpack(parent, folder, packed)
    except OSError as error:
        return Unpacked(folder, frozenset(names), f"the local packages cannot be unpacked into {parent}: {error}")
    return Unpacked(folder, frozenset(names))


def _unpack(parent: str, folder: str, packed: bytes) -> None:
    if not os.path.isdir(folder):
        os.makedirs(parent, mode=0o700, exist_ok=True)
        made = tempfile.mkdtemp(prefix=f"{os.path.basename(folder)}-", dir=parent)
        for path, content in pickle.loads(zlib.decompress(packed)):
            place = os.path.join(made, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as file:
                file.write(content)
        try:
            os.rename(made, folder)
        except OSError:  # another worker of this node was faster
            shutil.rmtree(made, ignore_errors=True)
            if not os.path.isdir(folder):
                raise


def use(packages: Optional[Unpacked]) -> bool:
    """Let imports find *packages*; return False if they do already, or if it is None.

    Raises:
        OSError: they could not be unpacked.
    """
    global active
    if packages is None or packages == active:
        return False
    if packages.error:
        raise OSError(packages.error)
    before, active = active, packages
    names = packages.names | (before.names if before is not None else frozenset())
    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        del sys.modules[name]
    if before is not None and before.folder in sys.path:
        sys.path.remove(before.folder)
    sys.path.insert(0, packages.folder)
    importlib.invalidate_caches()
    return True


def has(module: str) -> bool:
    """Return whether *module* is of the packages in use."""
    return active is not None and module.partition(".")[0] in active.names
