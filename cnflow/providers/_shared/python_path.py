"""The search path for modules of workers that the driver's own Python runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.libraries import holds_libraries

if TYPE_CHECKING:
    from collections.abc import Sequence


def python_path(search: Sequence[str], before: str) -> str:
    """Return a PYTHONPATH with which a worker finds the user's modules: beside the script, and in folders added.

    Args:
        search: like `sys.path`; an empty entry is the current folder, as in an interactive session.
        before: PYTHONPATH so far.
    """
    own = [str(Path(entry).absolute()) for entry in search if not holds_libraries(Path(entry))]
    return os.pathsep.join(dict.fromkeys(part for part in (*own, before) if part))
