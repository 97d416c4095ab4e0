"""Downloads a file from an HTTP or FTP server; runs in a worker, or in a thread of the driver.

::

    fetch ──> try ──> complete ──> rename to its path
               │ ├── broken connection, silence, server error (5xx) ──> pause, twice as long each time ──> try again
               │ └── final answer (no such file, no permission), full disk ──> StagingError
               └── written to a file beside the path: a partial file never has the final name
"""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import IO, TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from cnflow.errors import StagingError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_CHUNK = 1024 * 1024
_FIRST_SERVER_ERROR = 500
_FTP_PORT = 21
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
# Characters that a URL may hold unquoted: https://www.rfc-editor.org/rfc/rfc3986#section-2.
_SAFE = "%/:=&?~#+!$,;'@()*[]"


class RetryPolicy(NamedTuple):
    """Limits of the tries to download one file."""

    timeout: float = 60.0
    """Seconds without data after which a try fails."""

    tries: int = 4
    pause: float = 0.5
    """Seconds before the second try; doubled before each further one."""


def fetch(url: str, path: str, policy: RetryPolicy) -> None:
    """Download *url* to *path*; missing folders are made.

    Raises:
        StagingError: the download failed; names the URL, without a password, and the server's answer. *path* is
            unchanged.
    """
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    get = _get_ftp if parts.scheme.lower() == "ftp" else _get_http
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    except OSError as error:
        raise StagingError(f"{shown} could not be written to {path}: {error}") from error
    part = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        for attempt in range(1, policy.tries + 1):
            failure = _try_once(get, parts, part, policy, shown)
            if failure is None:
                break
            if attempt == policy.tries:
                raise StagingError(
                    f"{shown} could not be fetched in {attempt} {'try' if attempt == 1 else 'tries'}: {failure}"
                )
            time.sleep(policy.pause * 2 ** (attempt - 1))
        os.replace(part, path)
    finally:
        if os.path.lexists(part):
            os.unlink(part)


def _try_once(
    get: Callable[[SplitResult, IO[bytes], float], Optional[str]],
    parts: SplitResult,
    part: str,
    policy: RetryPolicy,
    shown: str,
) -> Optional[str]:
    """Download to the file *part*; return None if it is complete, or the reason of a failure that may pass.

    Raises:
        StagingError: another try would fail as well.
    """
    from ftplib import Error
    from http.client import HTTPException

    try:
        with open(part, "wb") as file:
            return get(parts, file, policy.timeout)
    except _RefusedError as error:
        raise StagingError(f"{shown} could not be fetched: {error}") from None
    except OSError as error:
        if error.filename == part or error.errno in _DISK_ERRORS:
            raise StagingError(f"{shown} could not be written to {part}: {error}") from error
        return f"{type(error).__name__}: {error}"
    except (EOFError, HTTPException, Error) as error:
        return f"{type(error).__name__}: {error}"


class _RefusedError(Exception):
    """The server's answer is final."""


def _get_http(parts: SplitResult, file: IO[bytes], timeout: float) -> Optional[str]:
    import shutil
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(_request(parts), timeout=timeout) as answer:  # noqa: S310 - http or https: the staging's schemes
            shutil.copyfileobj(answer, file, _CHUNK)
            length = answer.headers.get("Content-Length")
    except HTTPError as error:
        with error:
            reason = f"the server answers {error.code} {error.reason}"
        if error.code >= _FIRST_SERVER_ERROR:
            return reason
        raise _RefusedError(reason) from None
    if length is not None and length.isdigit() and int(length) != file.tell():
        return f"the connection ended after {file.tell()} of {length} bytes"  # urllib does not check it
    return None


def _request(parts: SplitResult) -> Any:  # noqa: ANN401 - an urllib.request.Request
    from base64 import b64encode
    from urllib.parse import quote, unquote
    from urllib.request import Request

    user, _, host = parts.netloc.rpartition("@")
    request = Request(quote(parts._replace(netloc=host).geturl(), safe=_SAFE), headers={"User-Agent": "cnflow"})  # noqa: S310 - as above
    if user:
        # Not sent to the target of a redirection.
        request.add_unredirected_header("Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}")
    return request


def _get_ftp(parts: SplitResult, file: IO[bytes], timeout: float) -> Optional[str]:
    import ftplib
    from urllib.parse import unquote

    path = unquote(parts.path)
    if "\r" in path or "\n" in path:
        raise _RefusedError("a line break in the path would end the FTP command")
    try:
        with ftplib.FTP(timeout=timeout) as server:  # noqa: S321 - the user's URL says ftp
            server.connect(parts.hostname or "", parts.port or _FTP_PORT)
            server.login(unquote(parts.username or ""), unquote(parts.password or ""))
            server.retrbinary(f"RETR {path}", file.write, _CHUNK)
    except ftplib.error_perm as error:
        raise _RefusedError(f"the server answers {error}") from None
    return None
