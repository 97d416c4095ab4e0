"""Folders that hold libraries, as opposed to the user's own modules."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

_FOLDERS = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_ZIPPED = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"


def holds_libraries(path: Path) -> bool:
    """Return whether *path* is, or lies in, the standard library or an installation folder such as site-packages."""
    return str(path.resolve()).startswith(_FOLDERS) or path.name == _ZIPPED


_folders: dict[str, bool] = {}
"""Answers by folder: there are far fewer folders than files."""


def is_of_library(file: str) -> bool:
    """Return whether *file* is code of the standard library or of an installation folder, of whatever environment."""
    path = Path(file)
    folder = str(path.parent)
    if folder not in _folders:
        _folders[folder] = holds_libraries(path) or is_in_installation_folder(file)
    return _folders[folder]


def is_in_installation_folder(file: str) -> bool:
    """Return whether *file* lies in an installation folder by its name, of whatever environment."""
    return not _INSTALLED.isdisjoint(file.replace(os.sep, "/").split("/"))
