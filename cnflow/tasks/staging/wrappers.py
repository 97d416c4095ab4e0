"""Stages a task's files where the task runs: in a separate task, or in a wrapper around the app's function.

A wrapper finds the files among the arguments instead of holding them. It is therefore equal for all tasks of an app,
and is sent to each manager once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from cnflow.model.file import File
from cnflow.tasks.staging.download import RetryPolicy, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator


def fetch_file(file: File, policy: RetryPolicy) -> File:
    """Download *file* to its ``local_path``, relative to the current folder; return it with the absolute path.

    Raises:
        StagingError: the download failed.
    """
    placed = _with_absolute_path(file)
    fetch(placed.url, placed.filepath, policy)
    return placed


def extract_file(file: File, archive: str, name: str) -> File:
    """Extract *file*, the member *name* of *archive*, to its ``local_path``; return it with the absolute path.

    Raises:
        StagingError: there is no such archive or member.
    """
    from cnflow.tasks.staging.archives import extract

    placed = _with_absolute_path(file)
    extract(archive, name, placed.filepath)
    return placed


def add_file(file: File, archive: str, name: str) -> None:
    """Add the file at the ``local_path`` of *file* to *archive* as *name*.

    Raises:
        StagingError: there is no such file, or the archive cannot be written.
    """
    from cnflow.tasks.staging.archives import add

    add(file.filepath, archive, name)


class FetchInputs(NamedTuple):
    """Callable that downloads the files among its arguments, and then calls *function*."""

    function: Callable[..., Any]
    schemes: tuple[str, ...]
    policy: RetryPolicy

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        """Download the files and call the function.

        Raises:
            StagingError: a download failed; the function was not called.
        """
        for file in _files_in((args, kwargs)):
            if file.scheme in self.schemes and file.local_path is not None:
                fetch(file.url, file.local_path, self.policy)
        return self.function(*args, **kwargs)


class MakeOutputFolders(NamedTuple):
    """Callable that makes the folders of staged outputs, and then calls *function*."""

    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        """Make the folders and call the function."""
        for file in _files_in(kwargs.get("outputs", ())):
            if file.local_path is not None:
                os.makedirs(os.path.dirname(file.local_path) or ".", exist_ok=True)
        return self.function(*args, **kwargs)


def as_function(wrapper: Any) -> Callable[..., Any]:  # noqa: ANN401 - mypy 1.18 does not see that a NamedTuple can be called
    """*wrapper* itself, typed as a function."""
    function: Callable[..., Any] = wrapper
    return function


def _with_absolute_path(file: File) -> File:
    """Copy of *file* with an absolute path: the task that uses it may run in another folder, such as a sandbox."""
    placed = file.cleancopy()
    placed.local_path = os.path.abspath(file.filepath)
    return placed


def _files_in(value: object) -> Iterator[File]:
    rest = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, File):
            yield part
        elif isinstance(part, dict):
            rest += reversed(list(part.values()))
        elif isinstance(part, (list, tuple)):
            rest += reversed(part)
