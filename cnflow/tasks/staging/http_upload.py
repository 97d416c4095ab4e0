"""Uploads one file to an HTTP server by PUT; runs in a worker, or in a thread of the driver.

::

    put ──> 200, 201, 204 ──> complete
     ^  ──> 404, 409, 500 ──> MKCOL for the folders of the path, as WebDAV (RFC 4918, 9.7.1) asks for ──> PUT again
     │  ──> 408, 425, 429, 5xx, a broken connection ──> Failure: may pass
     └  ──> anything else ──> RefusedError
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any, Optional
from urllib.error import HTTPError

from cnflow.tasks.staging.attempts import Failure, RefusedError
from cnflow.tasks.staging.http import MAY_PASS, seconds_to_wait
from cnflow.tasks.staging.http_connection import HttpServer

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from cnflow.tasks.staging.options import ServerOptions

_NO_FOLDER = {404, 409, 500}
"""What servers answer where a folder of the path is missing; nginx the last."""

_EXISTS = 405
_STORED = {200, 201, 204}
_FIRST_SERVER_ERROR = 500
_FINAL = {501, 505, 507}
"""Not implemented, HTTP version, no room: another try would fail as well."""


class HttpUpload:
    """Tries to upload one file.

    Args:
        parts: URL of the file.
        options: the user's settings.
    """

    def __init__(self, parts: SplitResult, options: ServerOptions) -> None:
        self._parts = parts
        self._server = HttpServer(parts, options)
        self._made_folders = False

    def put(self, file: IO[bytes], timeout: float) -> Optional[Failure]:
        """Try to upload *file*; return None if the server has it.

        Raises:
            RefusedError: another try would fail as well.
            OSError, http.client.HTTPException: the connection broke.
        """
        file.seek(0)
        request = self._server.request("PUT", file)
        request.add_header("Content-Length", str(os.fstat(file.fileno()).st_size))
        request.add_header("Content-Type", "application/octet-stream")
        try:
            with self._server.open(request, timeout) as answer:
                answer.read()
                if answer.status in _STORED:
                    return None
                raise RefusedError(f"the server answers {answer.status} {answer.reason}, and may not have stored it")
        except HTTPError as error:
            with error:
                if error.code in _NO_FOLDER and self._make_folders(timeout):
                    return self.put(file, timeout)
                return _on_error(error)

    def _make_folders(self, timeout: float) -> bool:
        """Make the folders of the path; return True if there may be one now that was missing."""
        if self._made_folders:
            return False
        self._made_folders = True
        made = False
        path = ""
        for name in self._parts.path.split("/")[1:-1]:
            path += f"/{name}"
            try:
                with self._server.open(self._server.request("MKCOL", path=f"{path}/"), timeout):
                    made = True
            except HTTPError as error:  # it exists, maybe for a moment only, or it may not be made
                error.close()
                made = made or error.code == _EXISTS
        return made


def _on_error(error: Any) -> Failure:  # noqa: ANN401 - an HTTPError
    reason = f"the server answers {error.code} {error.reason}"
    if error.code in MAY_PASS or (error.code >= _FIRST_SERVER_ERROR and error.code not in _FINAL):
        return Failure(reason, seconds_to_wait(error.headers))
    raise RefusedError(reason)
