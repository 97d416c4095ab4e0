"""Parses source where other threads parse, too.

Python 3.10 to 3.12 count the depth of the trees that they build for the whole interpreter: where a thread is switched
in the midst, by a finalizer for example, another thread's count is taken for its own, and parsing fails with
``SystemError: AST constructor recursion depth mismatch`` (https://github.com/python/cpython/issues/106905).
"""

from __future__ import annotations

import ast
import threading

_lock = threading.Lock()
_TRIES = 5


def parse(source: str | bytes, file: str, *, is_cell: bool = False) -> ast.Module:
    """Return the tree of *source*; *is_cell* allows ``await`` outside of functions, as in a notebook.

    Raises:
        SyntaxError, ValueError: it is no Python.
    """
    flags = ast.PyCF_ONLY_AST | (ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if is_cell else 0)
    with _lock:
        for left in reversed(range(_TRIES)):
            try:
                tree: ast.Module = compile(source, file, "exec", flags, dont_inherit=True)
            except SystemError:  # a thread of the user's parses at the same moment
                if not left:
                    raise
            else:
                return tree
    raise AssertionError
