"""What a task does about its staged files where it runs: as a task of its own, or around the app's function.

A wrapper holds no file, it finds them among the arguments: so it is the same for every task of an app, and is sent to
each manager once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from cnflow.model.file import File
from cnflow.tasks.staging.download import Patience, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator


def fetch_file(file: File, patience: Patience) -> File:
    """Bring *file* to its ``local_path``, as seen from here.

    Raises:
        StagingError: it cannot be had.
    """
    placed = _placed(file)
    fetch(placed.url, placed.filepath, patience)
    return placed


def extract_file(file: File, archive: str, name: str) -> File:
    """Take *file*, which is the member *name* of *archive*, out to its ``local_path``, as seen from here.

    Raises:
        StagingError: it cannot be had.
    """
    from cnflow.tasks.staging.archives import extract  # noqa: PLC0415 - most workers never see an archive

    placed = _placed(file)
    extract(archive, name, placed.filepath)
    return placed


def add_file(file: File, archive: str, name: str) -> None:
    """Put what is at the ``local_path`` of *file* into *archive* as *name*.

    Raises:
        StagingError: it is not there, or the archive cannot be written.
    """
    from cnflow.tasks.staging.archives import add  # noqa: PLC0415 - most workers never see an archive

    add(file.filepath, archive, name)


class Fetching(NamedTuple):
    """A function that brings the files among its arguments, and then does what *function* does."""

    function: Callable[..., Any]
    schemes: tuple[str, ...]
    patience: Patience

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        """As the function.

        Raises:
            StagingError: a file cannot be had; the function was not called.
        """
        for file in _files_in((args, kwargs)):
            if file.scheme in self.schemes and file.local_path is not None:
                fetch(file.url, file.local_path, self.patience)
        return self.function(*args, **kwargs)


class MakingFolders(NamedTuple):
    """A function that makes the folders for staged outputs, and then does what *function* does."""

    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        """As the function."""
        for file in _files_in(kwargs.get("outputs", ())):
            if file.local_path is not None:
                os.makedirs(os.path.dirname(file.local_path) or ".", exist_ok=True)  # noqa: PTH103, PTH120 - strings
        return self.function(*args, **kwargs)


def as_function(wrapper: Any) -> Callable[..., Any]:  # noqa: ANN401 - mypy 1.18 does not see that a NamedTuple can be called
    """*wrapper* itself."""
    function: Callable[..., Any] = wrapper
    return function


def _placed(file: File) -> File:
    """*file* with an absolute path: the task that gets it may run in another folder, such as a sandbox."""
    placed = file.cleancopy()
    placed.local_path = os.path.abspath(file.filepath)  # noqa: PTH100 - a string, as it travels
    return placed


def _files_in(value: object) -> Iterator[File]:
    if isinstance(value, File):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _files_in(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _files_in(part)
