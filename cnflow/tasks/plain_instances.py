"""Tells which instances are their class and their ``__dict__``, and nothing else."""

from __future__ import annotations

import copyreg

_PICKLING_METHODS = ("__reduce_ex__", "__reduce__", "__getstate__")
_HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE (https://docs.python.org/3/c-api/typeobj.html): the class is not of C, or at least not static."""


def is_plain_instance(kind: type) -> bool:
    """Return whether all that is pickled of an instance of *kind* is its class and its ``__dict__``."""
    if any(getattr(kind, name, None) is not getattr(object, name, None) for name in _PICKLING_METHODS):
        return False
    if kind in copyreg.dispatch_table or not kind.__dictoffset__:
        return False
    return all(cls.__flags__ & _HEAP_TYPE and "__slots__" not in vars(cls) for cls in kind.__mro__[:-1])
