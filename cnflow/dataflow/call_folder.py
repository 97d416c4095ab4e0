"""Gives relative paths of a call the meaning that they have where it is made: the driver's folder at that moment.

::

    call in folder A: f(File("in.txt"), outputs=["out.txt"], stdout="log")      os.chdir(B) may follow
        │  `current_folder`, once
        ├──> argument, element of inputs= and outputs=    File("/A/in.txt"), File("/A/out.txt")   `absolute_file`
        ├──> future.outputs[0]                            File("out.txt"), its filepath "/A/out.txt"      `located_file`
        └──> stdout, paths to look for afterwards         "/A/log", "/A/out.txt"   `absolute_path`

In a sandbox relative paths mean the sandbox, so that they stay; its inputs and outputs are linked and moved relative to
the folder.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.model.file import File


def current_folder() -> str:
    """Return the driver's folder; empty if it was removed, and relative paths mean nothing."""
    try:
        return os.getcwd()  # noqa: PTH109 - a string, to be joined with many
    except OSError:
        return ""


def is_relative(file: File) -> bool:
    """Return True if *file* is a relative path, as written by the user."""
    return file.scheme == "file" and not os.path.isabs(file.path)  # noqa: PTH117 - a string


def absolute_path(path: str, folder: str) -> str:
    """Return *path*, which may be relative to *folder*."""
    return os.path.join(folder, path)  # noqa: PTH118 - a string


def absolute_file(file: File, folder: str) -> File:
    """Return a clean copy of *file*; for a relative path, the file of that path in *folder* or where it was located."""
    return file.at(absolute_path(file.filepath, folder)) if is_relative(file) else file.cleancopy()


def located_file(file: File, folder: str) -> File:
    """Return a copy of *file* with the URL as written, whose ``filepath`` is absolute if it is a path."""
    copy = file.cleancopy()
    if folder and is_relative(file):
        copy.local_path = absolute_path(file.path, folder)
    return copy


def file_in_sandbox(file: File, folder: str) -> File:
    """Return a clean copy of *file* for a task in a sandbox: a relative path below *folder* stays relative."""
    is_below = is_relative(file) and os.path.normpath(file.path).partition(os.sep)[0] != os.pardir
    if is_below and absolute_path(file.filepath, folder) == absolute_path(file.path, folder):
        return file.cleancopy()
    return absolute_file(file, folder)
