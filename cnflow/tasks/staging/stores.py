"""Moves a file between a node and a store, such as a bucket, through fsspec; runs in a worker or in the driver.

::

    bring ──> size, version ──> parts from where the try before broke off ──> the size is right ──> renamed to its path
                                  └── another version than before ──> from the beginning
    send  ──> a temporary name beside ──> size there is right ──> renamed      stores of files: sftp, smb
          ──> the name itself         ──> size there is right                  stores of objects: s3, gs, az
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Optional

from cnflow.errors import StagingError
from cnflow.tasks.staging.attempts import Failure, RefusedError, RetryPolicy, repeat
from cnflow.tasks.staging.content import check_content
from cnflow.tasks.staging.secrets import SecretSource
from cnflow.text import mask_url

if TYPE_CHECKING:
    from cnflow.model.file import File
    from cnflow.tasks.staging.fsspec_client import Store

EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
    "sftp": "sftp",
}
"""Scheme -> extra of cnflow with its packages."""

_PART = 8 * 1024 * 1024


class Table(tuple):  # type: ignore[type-arg]  # of pairs
    """A dict of options that can be hashed."""

    __slots__ = ()


class StoreMover(NamedTuple):
    """Moves files to and from stores; implements `cnflow.tasks.staging.wrappers.Mover`."""

    options: Table
    """Scheme -> options of its file system, frozen."""

    policy: RetryPolicy = RetryPolicy()

    def bring(self, file: File) -> None:
        """Bring *file* to its ``local_path``; missing folders are made.

        Raises:
            StagingError: names the URL, without a password, and the store's answer. The path is unchanged.
        """
        path = file.filepath
        part = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
        subject = f"{mask_url(file.url)} could not be fetched"
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with open(part, "w+b") as opened:
                download = _Download(self, file, opened)
                repeat(download.try_once, self.policy, subject)
            check_content(part, file, subject)
            os.replace(part, path)
        except OSError as error:
            raise StagingError(f"{subject}: {path} cannot be written: {error}") from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)

    def send(self, file: File) -> None:
        """Take the copy of *file* to its URL.

        Raises:
            StagingError: as `bring`. The store has the old file or the new one.
        """
        subject = f"{file.filepath} could not be sent to {mask_url(file.url)}"
        opened = _Opened(self, file)

        def try_once() -> Optional[Failure]:
            try:
                opened.store().put(file.filepath)
            except Exception as error:  # noqa: BLE001 - each store has errors of its own
                return opened.failure_of(error)
            return None

        try:
            repeat(try_once, self.policy, subject)
        except OSError as error:
            raise StagingError(f"{subject}: {error}") from error

    def version(self, file: File) -> str:
        """Text by which a store of objects tells one content of *file* from another; empty where there is none."""
        return _Opened(self, file).store().strong_version()

    def options_for(self, scheme: str) -> dict[str, Any]:
        """Options of the file system of *scheme*, with the texts of its secrets.

        Raises:
            RefusedError: this machine lacks the variable or file of a secret.
        """
        table: dict[str, Any] = _thawed(self.options, "")
        return dict(table.get(scheme, {}))


class _Opened:
    """The store of one file; a failed connection is made anew."""

    def __init__(self, mover: StoreMover, file: File) -> None:
        self._mover = mover
        self._file = file
        self._has_failed = False

    def store(self) -> Store:
        """The store, of this try."""
        from cnflow.tasks.staging.fsspec_client import Store

        options = self._mover.options_for(self._file.scheme)
        timeout = self._mover.policy.timeout
        return Store(self._file.scheme, self._file.url, options, timeout, is_fresh=self._has_failed)

    def failure_of(self, error: Exception) -> Failure:
        """Return what may pass.

        Raises:
            RefusedError: another try would fail as well.
            StagingError: *error*, if it is one.
        """
        from cnflow.tasks.staging.fsspec_client import final_reason

        if isinstance(error, (RefusedError, StagingError)):
            raise error
        self._has_failed = True
        if isinstance(error, ImportError):
            raise RefusedError(_missing_package(self._file.scheme, error)) from None
        reason = final_reason(error, self._file.scheme)
        if reason:
            raise RefusedError(reason) from None
        return Failure(f"{type(error).__name__}: {error}")


class _Download:
    """Download of one file, in one or several tries."""

    def __init__(self, mover: StoreMover, file: File, target: IO[bytes]) -> None:
        self._opened = _Opened(mover, file)
        self._file = file
        self._target = target
        self._version: object = None

    def try_once(self) -> Optional[Failure]:
        """Write the rest of the file; return None if all of it is there."""
        try:
            return self._copy(self._opened.store())
        except Exception as error:  # noqa: BLE001 - each store has errors of its own
            return self._opened.failure_of(error)

    def _copy(self, store: Store) -> Optional[Failure]:
        size, version = store.size_and_version()
        if version != self._version:
            self._version = version
            self._begin_anew()
        done = self._target.tell()
        with store.open(done, size) as source:
            while True:
                data = source.read(_PART)
                if not data:
                    break
                self._write(data)
                done += len(data)
        if size is not None and done != size:
            if done > size:
                self._begin_anew()
            return Failure(f"it ended after {done} of {size} bytes")
        return None

    def _begin_anew(self) -> None:
        self._target.seek(0)
        self._target.truncate()

    def _write(self, data: bytes) -> None:
        """Write *data*; an error of this machine's disk is no error of the store."""
        try:
            self._target.write(data)
            self._target.flush()
        except OSError as error:
            url = mask_url(self._file.url)
            raise StagingError(f"{url} could not be written to {self._target.name}: {error}") from error


def frozen(value: Any) -> Any:  # noqa: ANN401 - any option
    """Return *value* with dicts and lists replaced by what can be hashed."""
    if isinstance(value, SecretSource):
        return value
    if isinstance(value, dict):
        return Table((name, frozen(part)) for name, part in value.items())
    return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value


def _thawed(value: Any, name: str) -> Any:  # noqa: ANN401 - any option
    """The reverse of `frozen`, with the texts of secrets; *name* is that of the option."""
    if isinstance(value, SecretSource):
        return value.read(f"option {name!r}", has_lines=True)
    if isinstance(value, Table):
        return {each: _thawed(part, each) for each, part in value}
    return [_thawed(part, name) for part in value] if type(value) is tuple else value


def _missing_package(scheme: str, error: ImportError) -> str:
    extra = EXTRAS.get(scheme)
    how = f"pip install 'cnflow[{extra}]'" if extra else "the package that it names"
    return (
        f"{scheme}: files need packages that this machine lacks ({error}). Install them where the file is moved, in "
        f"the image if that is a container: {how}; or write FsspecStaging(way='driver'), and only the driver needs them"
    )
