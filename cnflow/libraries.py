"""Folders that hold libraries, as opposed to the user's own modules."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

_FOLDERS = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_ZIPPED = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"


def holds_libraries(path: Path) -> bool:
    """Return whether *path* is, or lies in, the standard library or an installation folder such as site-packages."""
    return str(path.resolve()).startswith(_FOLDERS) or path.name == _ZIPPED
