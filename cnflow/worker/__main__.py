"""``python ROOT/cnflow/worker/__main__.py SOCKET STOPS SANDBOX``: the command with which a manager starts a worker.

The user's environment is unchanged except for two packages, which come from ROOT even if others are installed:
``cnflow``, and ``cloudpickle`` where ROOT has it (a capsule), since the version that wrote a pickle must load it.

For tasks, `sys.argv` is that of the user's script, and ``__main__`` is `cnflow.worker.main_module`.
"""

from __future__ import annotations

import importlib.machinery
import os
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

    from cnflow.tasks.script_arguments import take
    from cnflow.worker.loop import serve

    _, descriptor, stops, sandbox = sys.argv
    sys.argv[:] = take(os.environ)
    serve(int(descriptor), int(stops), sandbox)
