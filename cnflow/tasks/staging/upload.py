"""Uploads a file to an HTTP or FTP server; runs in a worker, or in a thread of the driver."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Optional, Union

from cnflow.errors import StagingError
from cnflow.tasks.staging.attempts import Failure, repeat
from cnflow.tasks.staging.ftp import FtpUpload
from cnflow.tasks.staging.http_upload import HttpUpload
from cnflow.text import mask_url

if TYPE_CHECKING:
    from cnflow.tasks.staging.options import ServerOptions


def send(path: str, url: str, options: ServerOptions) -> None:
    """Upload the file at *path* to *url*.

    Raises:
        StagingError: the upload failed; names the file, the URL without a password, and the server's answer.
    """
    subject = f"{path} could not be sent to {mask_url(url)}"
    try:
        with open(path, "rb") as file:
            attempt = _Attempt(file, url, options)
            repeat(attempt.run, options.policy, subject)
    except OSError as error:  # of the file: others are failures of a try
        raise StagingError(f"{subject}: {error}") from error


class _Attempt:
    """Uploads one file, try after try.

    Args:
        file: the file.
        url: where it goes to.
        options: the user's settings.
    """

    def __init__(self, file: IO[bytes], url: str, options: ServerOptions) -> None:
        self._file = file
        self._url = url
        self._options = options
        self._upload: Union[HttpUpload, FtpUpload, None] = None

    def run(self) -> Optional[Failure]:
        if self._upload is None:
            from urllib.parse import urlsplit

            parts = urlsplit(self._url)
            kind = HttpUpload if parts.scheme.lower() in {"http", "https"} else FtpUpload
            self._upload = kind(parts, self._options)
        return self._upload.put(self._file, self._options.policy.timeout)
