"""Repeats what a network makes fail: a transfer is tried until it is complete, refused for good, or out of tries.

::

    try ──> complete
     ^ ├──> Failure: broken connection, silence, a server in trouble ──> pause, twice as long each time, or as long as
     └─┼──────────────────────────────────────────────────────────────── the server asks for ──> try again
       ├──> RefusedError: no such file, no permission, a certificate that is not trusted ──> StagingError
       └──> full disk here ──> OSError
"""

from __future__ import annotations

import errno
import time
from typing import Callable, NamedTuple, Optional

from cnflow.errors import StagingError

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_LONGEST_SLEEP = 1.0
"""Seconds; a thread of the driver notices only then that its task was cancelled."""


class RetryPolicy(NamedTuple):
    """Limits of the tries to transfer one file."""

    timeout: float = 60.0
    """Seconds without data after which a try fails."""

    tries: int = 4
    pause: float = 0.5
    """Seconds before the second try; doubled before each further one."""

    longest_pause: float = 120.0
    """Seconds; a server that asks for a longer one is tried again after this."""


class Failure(NamedTuple):
    """Failure of one try that another try may not have."""

    reason: str
    pause: Optional[float] = None
    """Seconds that the server asks to wait before the next try."""

    is_empty: bool = False
    """The answer had no content and no length: all of an empty file, or nothing of a broken answer."""


class RefusedError(Exception):
    """The server's answer is final."""


Try = Callable[[], Optional[Failure]]
"""Tries once; returns None if the transfer is complete."""


def repeat(try_once: Try, policy: RetryPolicy, subject: str) -> None:
    """Call *try_once* until the transfer is complete.

    Args:
        try_once: raises RefusedError if another try would fail as well.
        policy: limits.
        subject: begins the message of an error: ``http://host/x could not be fetched``.

    Raises:
        StagingError: it was refused, or failed at each try.
        OSError: the disk of this machine.
    """
    for attempt in range(1, policy.tries + 1):
        try:
            failure = _guarded(try_once)
        except RefusedError as error:
            raise StagingError(f"{subject}: {error}", tries=attempt, is_final=True) from None
        if failure is None or (failure.is_empty and attempt == policy.tries):
            return  # a file that is empty each time is empty
        if attempt == policy.tries:
            tries = "try" if attempt == 1 else "tries"
            raise StagingError(f"{subject} in {attempt} {tries}: {failure.reason}", tries=attempt)
        pause = policy.pause * 2 ** (attempt - 1) if failure.pause is None else failure.pause
        _sleep(min(pause, policy.longest_pause))


def _guarded(try_once: Try) -> Optional[Failure]:
    """Try once; the errors of the network are failures.

    Raises:
        RefusedError: another try would fail as well.
        OSError: the disk of this machine.
    """
    from ftplib import Error
    from http.client import HTTPException
    from ssl import SSLCertVerificationError
    from urllib.error import URLError

    try:
        return try_once()
    except OSError as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, SSLCertVerificationError):
            raise RefusedError(_on_certificate(cause)) from None
        if error.errno in _DISK_ERRORS:
            raise
        return Failure(f"{type(error).__name__}: {error}")
    except (EOFError, HTTPException, Error) as error:
        return Failure(f"{type(error).__name__}: {error}")
    except (ValueError, OverflowError) as error:  # a port above 65535, a host that is no name
        raise RefusedError(f"the URL is none that can be asked for: {error}") from None


def _on_certificate(error: Exception) -> str:
    from ssl import create_default_context

    why = getattr(error, "verify_message", "") or str(error)
    empty = "" if create_default_context().cert_store_stats()["x509_ca"] else " (this machine has none of its own)"
    return (
        f"the server's certificate is not trusted: {why}. Name the file with the certificate of its authority{empty}: "
        "ca_file= of the staging."
    )


def _sleep(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _LONGEST_SLEEP))
