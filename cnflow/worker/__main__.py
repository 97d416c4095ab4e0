"""``python ROOT/cnflow/worker/__main__.py SOCKET STOPS SANDBOX``: how a manager starts a worker.

The user's environment stays as it is, but for two names that come from ROOT whatever else is installed: ``cnflow``, and
``cloudpickle`` where ROOT has it (a capsule), since pickles are loaded by the version that wrote them.
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
    """Finds our two packages in ROOT, and nothing else there."""

    @staticmethod
    def find_spec(name: str, *_: object) -> Optional[importlib.machinery.ModuleSpec]:
        """As `importlib.abc.MetaPathFinder.find_spec`."""
        return importlib.machinery.PathFinder.find_spec(name, [str(_ROOT)]) if name in _OURS else None


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if entry != str(_HERE)]
    sys.meta_path.insert(0, _FromRoot)

    from cnflow.worker.loop import serve

    serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
