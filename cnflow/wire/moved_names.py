"""Names that pickles use for what has another place in another version of Python or NumPy.

A pickle that cannot be loaded is loaded a second time with these names; those of one version cost nothing.
"""

from __future__ import annotations

import pickle
from importlib import import_module
from typing import Any

_PLACES = {
    "pathlib._local": "pathlib",  # of Python 3.13 alone
    "numpy._core": "numpy.core",  # of NumPy 2; NumPy 1.26 knows both
    "numpy.core": "numpy._core",
}


def has_any(body: Any) -> bool:  # noqa: ANN401 - any buffer
    """Return whether a pickle may have such a name."""
    content = bytes(body)
    return any(name.encode() in content for name in _PLACES)


class Unpickler(pickle.Unpickler):
    """Finds moved names where they are here."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        """Return what has that name, here or at its other place."""
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError, DeprecationWarning):
            for old, new in _PLACES.items():
                if module == old or module.startswith(f"{old}."):
                    import_module(new)
                    return super().find_class(new + module[len(old) :], name)
            raise
