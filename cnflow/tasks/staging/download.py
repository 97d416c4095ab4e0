"""Downloads a file from an HTTP or FTP server; runs in a worker, or in a thread of the driver.

::

    fetch ──> tries (`attempts`) ──> complete ──> size and digest are right ──> rename to its path
               │                                   └── they are not ──> tried again, refused at the second time
               └── written to a file beside the path: a partial file never has the final name
"""

from __future__ import annotations

import os
import threading
from typing import IO, NamedTuple, Optional, Union

from cnflow.errors import StagingError
from cnflow.tasks.staging.attempts import Failure, RefusedError, repeat
from cnflow.tasks.staging.ftp import FtpDownload
from cnflow.tasks.staging.http import HttpDownload
from cnflow.tasks.staging.options import Content, ServerOptions
from cnflow.text import mask_url

_CHUNK = 1024 * 1024
_SHORT = 12
"""Digits of a digest in a message."""


def fetch(url: str, path: str, options: ServerOptions, content: Content = Content()) -> None:  # noqa: B008 - a value
    """Download *url* to *path*; missing folders are made.

    Raises:
        StagingError: the download failed, or is not *content*; names the URL, without a password, and the server's
            answer. *path* is unchanged.
    """
    shown = mask_url(url)
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    except OSError as error:
        raise StagingError(f"{shown} could not be written to {path}: {error}") from error
    part = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        _fetch_to(part, url, options, content)
        os.replace(part, path)
    except OSError as error:  # of the file: others are failures of a try
        raise StagingError(f"{shown} could not be written to {part}: {error}") from error
    finally:
        if os.path.lexists(part):
            os.unlink(part)


def _fetch_to(part: str, url: str, options: ServerOptions, content: Content) -> None:
    subject = f"{mask_url(url)} could not be fetched"
    with open(part, "w+b") as file:
        repeat(_Attempt(file, url, options, content).run, options.policy, subject)


_Download = Union[FtpDownload, HttpDownload]


class _Attempt:
    """Downloads to one file, try after try.

    Args:
        file: the partial file.
        url: of the file.
        options: the user's settings.
        content: what is known of the content.
    """

    def __init__(self, file: IO[bytes], url: str, options: ServerOptions, content: Content) -> None:
        self._file = file
        self._url = url
        self._options = options
        self._content = content
        self._download: Optional[_Download] = None
        self._wrong = ""
        """Digest of a complete download that was not the content."""

    def run(self) -> Optional[Failure]:
        if self._download is None:
            from urllib.parse import urlsplit

            parts = urlsplit(self._url)
            kind = HttpDownload if parts.scheme.lower() in {"http", "https"} else FtpDownload
            self._download = kind(parts, self._options, self._content)
        failure = self._download.get(self._file, self._options.policy.timeout)
        self._file.flush()
        if failure is not None and not failure.is_empty:
            return failure
        return self._verify() or failure

    def _verify(self) -> Optional[Failure]:
        fault = fault_of(self._file, self._content)
        if fault is None:
            return None
        if fault.digest == self._wrong:
            raise RefusedError(f"it came twice, and {fault.reason}")
        self._wrong = fault.digest
        assert self._download is not None
        self._download.begin_anew()
        return Failure(fault.reason)


class Fault(NamedTuple):
    """Difference of a file from what it is to be."""

    reason: str
    digest: str


def fault_of(file: IO[bytes], content: Content) -> Optional[Fault]:
    """Compare the *file* with *content*; return None if it is that."""
    size = file.seek(0, os.SEEK_END)
    if content.size is not None and size != content.size:
        return Fault(f"it has {size:,} bytes, not {content.size:,}", f"size {size}")
    if content.sha256 is None:
        return None
    found = _sha256(file)
    if found == content.sha256.lower():
        return None
    return Fault(f"its SHA-256 is {found[:_SHORT]}..., not {content.sha256[:_SHORT]}...", found)


def _sha256(file: IO[bytes]) -> str:
    from hashlib import sha256

    digest = sha256()
    file.seek(0)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
