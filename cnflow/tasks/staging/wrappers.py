"""Functions around a task's: they bring its inputs before it runs, and send its outputs afterwards.

::

    BringInputs ──> mover.bring(file) for each input ──> the task's function ──> the copies are removed
    SendOutputs ──> the task's function ──> is each output there? ──> mover.send(file) ──> the copies are removed

A wrapper finds the files among the arguments instead of holding them. It is therefore equal for all tasks of an app,
and is sent to each manager once.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol

from cnflow.model.file import File
from cnflow.tasks.staging.copies import remove_copy
from cnflow.tasks.staging.shared import bring_all_for_task
from cnflow.tasks.staging.steps import OUT, staging_step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WRITTEN = ("outputs", "stdout", "stderr")
"""Keywords whose files the task writes."""


class Mover(Protocol):
    """Moves a file between its URL and its ``local_path``. A value that can be hashed, and that is sent to workers.

    It may have a method ``version(file)`` with the text by which the server tells one content of the file from another,
    empty where there is none: then a node brings each content once (`cnflow.tasks.staging.shared`).
    """

    def bring(self, file: File) -> None:
        """Make the copy.

        Raises:
            StagingError: it cannot be made; nothing is there.
        """

    def send(self, file: File) -> None:
        """Bring the copy to the URL.

        Raises:
            StagingError: it is not there.
        """


class BringInputs(NamedTuple):
    """Callable that brings the files among its arguments, and then calls *function*; the copies end with the task."""

    function: Callable[..., Any]
    schemes: tuple[str, ...]
    mover: Mover
    way: str = "in"
    """Tells it apart from another wrapper with the same parts."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        """Bring the files and call the function.

        Raises:
            StagingError: a file cannot be brought; the function was not called.
        """
        inputs = (args, {name: value for name, value in kwargs.items() if name not in _WRITTEN})
        files = _placed(_files_in(inputs), self.schemes)
        bring_all_for_task(files, self.mover)
        return self.function(*args, **kwargs)


class SendOutputs(NamedTuple):
    """Callable that calls *function*, sends the files that it wrote, and removes the copies."""

    function: Callable[..., Any]
    schemes: tuple[str, ...]
    mover: Mover
    way: str = "out"
    """Tells it apart from another wrapper with the same parts."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        """Call the function and send the files.

        Raises:
            MissingOutputs: the function has not made one of them; none was sent.
            StagingError: a file cannot be sent.
        """
        files = _placed(_files_in(kwargs.get("outputs", ())), self.schemes)
        _make_folders(files)
        try:
            value = self.function(*args, **kwargs)
            self._check(files)
            self._send(files)
        finally:
            for file in files:
                remove_copy(file.filepath)
        return value

    def _send(self, files: list[File]) -> None:
        together = getattr(self.mover, "send_many", None)
        if together is not None:
            together(files)
            return
        for file in files:
            with staging_step(OUT, file):
                self.mover.send(file)

    def _check(self, files: Iterable[File]) -> None:
        missing = [file.url for file in files if not os.path.exists(file.filepath)]
        if missing:
            from cnflow.errors import MissingOutputs
            from cnflow.text import mask_url

            raise MissingOutputs(name_of_app(self), [mask_url(url) for url in missing])


class SendStream(NamedTuple):
    """Callable that calls *function*, sends the *file* that its output goes to, and removes the copy.

    It holds the file, which need not be among the arguments.
    """

    function: Callable[..., Any]
    file: File
    mover: Mover

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        """Call the function and send its output.

        Raises:
            StagingError: the file cannot be sent.
        """
        path = os.path.abspath(self.file.filepath)
        try:
            value = self.function(*args, **kwargs)
            _flush_streams()
            with staging_step(OUT, self.file):
                self.mover.send(self.file)
        finally:
            remove_copy(path)
        return value


class MakeOutputFolders(NamedTuple):
    """Callable that makes the folders of staged outputs, and then calls *function*."""

    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        """Make the folders and call the function."""
        _make_folders(_files_in(kwargs.get("outputs", ())))
        return self.function(*args, **kwargs)


class CheckImageFiles(NamedTuple):
    """Callable that checks the files of the task's image among its arguments, and then calls *function*."""

    function: Callable[..., Any]
    image: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        """Check the files and call the function.

        Raises:
            StagingError: the image has no such file, or it may not be read.
        """
        for file in _files_in((args, kwargs)):
            if file.scheme == "docker":
                self._check(file.url, file.filepath)
        return self.function(*args, **kwargs)

    def _check(self, url: str, path: str) -> None:
        from cnflow.errors import StagingError

        if not os.path.exists(path):
            near = _nearest_folder(path)
            raise StagingError(f"{url}: the image {self.image!r} has no {path}; of that path it has {near}.")
        if not os.access(path, os.R_OK):
            raise StagingError(f"{url}: {path} of the image {self.image!r} may not be read by the task's user.")


class CheckContents(NamedTuple):
    """Callable that checks size and checksum of the shared files among its arguments, and then calls *function*."""

    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - those of the function
        """Check the files and call the function.

        Raises:
            StagingError: a file is none of what the user says of it.
        """
        from cnflow.errors import StagingError
        from cnflow.tasks.staging.content import mismatch

        inputs = (args, {name: value for name, value in kwargs.items() if name not in _WRITTEN})
        for file in _files_in(inputs):
            path = file.path
            # A missing one is the function's to report; one in a sandbox may be there for the command alone.
            if file.scheme == "file" and file.local_path is None and os.path.isfile(path):
                reason = mismatch(path, file)
                if reason:
                    raise StagingError(f"{path} is not what its task needs: {reason}.", is_final=True)
        return self.function(*args, **kwargs)


def wrapped_once(function: Callable[..., Any], wrapper: object) -> Callable[..., Any]:
    """Return *wrapper*, which is around *function*; or *function* where it already has one like it somewhere inside."""
    inner: object = function
    while inner is not None:
        if type(inner) is type(wrapper) and _parts(inner) == _parts(wrapper):
            return function
        inner = inner.function if isinstance(inner, tuple) and hasattr(inner, "function") else None
    return as_function(wrapper)


def as_function(wrapper: Any) -> Callable[..., Any]:  # noqa: ANN401 - mypy 1.18 does not see that a NamedTuple can be called
    """*wrapper* itself, typed as a function."""
    function: Callable[..., Any] = wrapper
    return function


def name_of_app(function: Any) -> str:  # noqa: ANN401 - wrappers around the user's function
    """Name of the innermost function."""
    while isinstance(function, tuple) and hasattr(function, "function"):
        function = function.function
    return str(getattr(function, "__name__", "the app"))


def with_absolute_path(file: File) -> File:
    """Copy of *file* with an absolute path: the task that uses it may run in another folder, such as a sandbox."""
    placed = file.cleancopy()
    placed.local_path = os.path.abspath(file.filepath)
    return placed


def _parts(wrapper: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a NamedTuple
    return tuple(wrapper)[1:]


def _placed(files: Iterator[File], schemes: tuple[str, ...]) -> list[File]:
    """Those of *files* that are to be moved, each once, with absolute paths: the function may change the folder."""
    found = {}
    for file in files:
        if file.scheme in schemes and file.local_path is not None:
            file.local_path = os.path.abspath(file.local_path)
            found[file.local_path] = file
    return list(found.values())


def _make_folders(files: Iterable[File]) -> None:
    for file in files:
        if file.local_path is not None:
            os.makedirs(os.path.dirname(file.local_path) or ".", exist_ok=True)


def _flush_streams() -> None:
    """Write what the function printed to the files that are sent."""
    import sys

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # the task closed it
            stream.flush()


def _nearest_folder(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


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
