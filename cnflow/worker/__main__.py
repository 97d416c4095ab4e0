"""``python ROOT/cnflow/worker/__main__.py SOCKET STOPS SANDBOX``: the command with which a manager starts a worker.

The user's environment is unchanged except for two packages, which come from ROOT even if others are installed:
``cnflow``, and ``cloudpickle`` where ROOT has it (a capsule), since the version that wrote a pickle must load it.
"""

from __future__ import annotations

import importlib.machinery
import pathlib
import sys
from typing import Optional

_HERE = pathlib.Path(__file__).resolve().parent
_ROOT = _HERE.parent.parent
_OURS = ("cnflow", "cloudpickle")


class _FromRoot:
    """Finds our two packages in ROOT, and no others."""

    @staticmethod
    def find_spec(name: str, *_: object) -> Optional[importlib.machinery.ModuleSpec]:
        """Find one of the two packages, as `importlib.abc.MetaPathFinder.find_spec` does."""
        return importlib.machinery.PathFinder.find_spec(name, [str(_ROOT)]) if name in _OURS else None


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if entry != str(_HERE)]
    sys.meta_path.insert(0, _FromRoot)

    from cnflow.worker.loop import serve

    serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
