"""Restores folder, variables and umask of a worker, so that each task begins where the worker began.

::

    worker starts ──> Beginning() ──> restore() ──> task ──> restore() ──> task ...
                                         └── os.chdir, os.environ, os.umask of the task before are undone

Other state of the process stays from task to task: modules and their globals, ``sys.path``, signal handlers, threads.
"""

from __future__ import annotations

import os
import sys

_O_PATH = getattr(os, "O_PATH", os.O_RDONLY)  # Linux: a folder need not be readable


class Beginning:
    """Folder, variables and umask of this process when this was made."""

    def __init__(self) -> None:
        self._folder = _current_folder()
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._environ = os.environ
        self._variables = _content(os.environ).copy()
        # Leads back to a folder that was removed meanwhile, and that the path leads to no more.
        self._descriptor = os.open(".", _O_PATH | os.O_CLOEXEC)

    def restore(self) -> None:
        """Undo what tasks have changed; takes 2 microseconds if they have changed nothing."""
        if _current_folder() != self._folder or not self._folder:
            self._return_to_folder()
        os.umask(self._umask)
        if os.environ is not self._environ:
            os.environ = self._environ  # noqa: B003 - a task has put another object in its place
        if _content(os.environ) != self._variables:
            self._restore_variables()

    def _return_to_folder(self) -> None:
        try:
            os.chdir(self._folder)
        except OSError:  # it was removed, or its path cannot be entered any more
            try:
                os.fchdir(self._descriptor)
            except OSError as error:
                sys.stderr.write(f"worker: it cannot return to {self._folder!r}, where it began: {error}\n")

    def _restore_variables(self) -> None:
        now = _content(os.environ)
        for name in [name for name in now if name not in self._variables]:
            del os.environb[name]
        for name, value in self._variables.items():
            if now.get(name) != value:
                os.environb[name] = value


def _current_folder() -> str:
    """Return the current folder; empty if it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def _content(environ: os._Environ[str]) -> dict[bytes, bytes]:
    """Return the variables as *environ* holds them: to decode each of them would take 20 times as long."""
    content: dict[bytes, bytes] = environ._data  # type: ignore[attr-defined]  # noqa: SLF001 - as the docstring says
    return content
