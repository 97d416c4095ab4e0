"""Downloads a file from an HTTP or FTP server; runs in a worker, or in a thread of the driver.

::

    fetch ──> try ──> complete ──> rename to its path
               │ ├── Failure: broken connection, silence, server error ──> pause, twice as long each time, or as long as
               │ │                                                         the server asks for ──> try again
               │ └── final answer (no such file, no permission), full disk ──> StagingError
               └── written to a file beside the path: a partial file never has the final name
"""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import IO, TYPE_CHECKING, Callable, NamedTuple, Optional

from cnflow.errors import StagingError
from cnflow.tasks.staging.http import Failure, HttpDownload, RefusedError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_CHUNK = 1024 * 1024
_FTP_PORT = 21
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_LONGEST_SLEEP = 1.0
"""Seconds; a thread of the driver notices only then that its task was cancelled."""


class RetryPolicy(NamedTuple):
    """Limits of the tries to download one file."""

    timeout: float = 60.0
    """Seconds without data after which a try fails."""

    tries: int = 4
    pause: float = 0.5
    """Seconds before the second try; doubled before each further one."""

    longest_pause: float = 120.0
    """Seconds; a server that asks for a longer one is tried again after this."""


def fetch(url: str, path: str, policy: RetryPolicy) -> None:
    """Download *url* to *path*; missing folders are made.

    Raises:
        StagingError: the download failed; names the URL, without a password, and the server's answer. *path* is
            unchanged.
    """
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    get = _ftp_download(parts) if parts.scheme.lower() == "ftp" else HttpDownload(parts).get
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    except OSError as error:
        raise StagingError(f"{shown} could not be written to {path}: {error}") from error
    part = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        _fetch_to(part, get, policy, shown)
        os.replace(part, path)
    finally:
        if os.path.lexists(part):
            os.unlink(part)


_Get = Callable[[IO[bytes], float], Optional[Failure]]


def _fetch_to(part: str, get: _Get, policy: RetryPolicy, shown: str) -> None:
    try:
        with open(part, "wb") as file:
            for attempt in range(1, policy.tries + 1):
                failure = _try_once(get, file, policy, shown)
                if failure is None or (failure.is_empty and attempt == policy.tries):
                    return  # a file that is empty each time is empty
                if attempt == policy.tries:
                    raise StagingError(
                        f"{shown} could not be fetched in {attempt} {'try' if attempt == 1 else 'tries'}: "
                        f"{failure.reason}"
                    )
                pause = policy.pause * 2 ** (attempt - 1) if failure.pause is None else failure.pause
                _sleep(min(pause, policy.longest_pause))
    except OSError as error:  # of the file: others are failures of a try
        raise StagingError(f"{shown} could not be written to {part}: {error}") from error


def _try_once(get: _Get, file: IO[bytes], policy: RetryPolicy, shown: str) -> Optional[Failure]:
    """Download to *file*; return None if it is complete, or the reason of a failure that may pass.

    Raises:
        StagingError: another try would fail as well.
        OSError: *file* cannot be written.
    """
    from ftplib import Error
    from http.client import HTTPException

    try:
        failure = get(file, policy.timeout)
    except RefusedError as error:
        raise StagingError(f"{shown} could not be fetched: {error}") from None
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            raise
        return Failure(f"{type(error).__name__}: {error}")
    except (EOFError, HTTPException, Error) as error:
        return Failure(f"{type(error).__name__}: {error}")
    file.flush()
    return failure


def _sleep(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _LONGEST_SLEEP))


def _ftp_download(parts: SplitResult) -> _Get:
    def get(file: IO[bytes], timeout: float) -> Optional[Failure]:
        file.seek(0)
        file.truncate()
        _get_ftp(parts, file, timeout)
        return None

    return get


def _get_ftp(parts: SplitResult, file: IO[bytes], timeout: float) -> None:
    import ftplib
    from urllib.parse import unquote

    path = unquote(parts.path)
    if "\r" in path or "\n" in path:
        raise RefusedError("a line break in the path would end the FTP command")
    try:
        with ftplib.FTP(timeout=timeout) as server:  # noqa: S321 - the user's URL says ftp
            server.connect(parts.hostname or "", parts.port or _FTP_PORT)
            server.login(unquote(parts.username or ""), unquote(parts.password or ""))
            server.retrbinary(f"RETR {path}", file.write, _CHUNK)
    except ftplib.error_perm as error:
        raise RefusedError(f"the server answers {error}") from None
