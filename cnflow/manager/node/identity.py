"""Gives tasks in a container a name and a home folder where their user has none: a uid without a line in /etc/passwd.

Without these, `getpass.getuser` raises KeyError, and programs write their caches to ``/``.
"""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def identity_variables(environment: Mapping[str, str], image: str) -> dict[str, str]:
    """Return variables to add to *environment*; none on the bare node, whose users are its owner's business.

    Args:
        environment: that of the manager.
        image: that the manager runs in; empty on the bare node.
    """
    if not image:
        return {}
    added = {}
    if not _has_name(os.getuid()):
        name = f"user{os.getuid()}"
        added.update({variable: name for variable in ("USER", "LOGNAME") if not environment.get(variable)})
    home = environment.get("HOME", "")
    if not (home and Path(home).is_dir() and os.access(home, os.W_OK | os.X_OK)):
        added["HOME"] = tempfile.gettempdir()
    return added


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
