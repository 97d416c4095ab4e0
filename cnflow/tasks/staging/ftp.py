"""Downloads and uploads one file from and to an FTP server; runs in a worker, or in a thread of the driver.

::

    ftp:   plain; anonymous unless there is a name
    ftpes: TLS is agreed on the usual port (AUTH TLS), for commands and files
    ftps:  TLS from the first byte, on a port of its own

    get ──> SIZE, MDTM ──> RETR, after REST where a try broke off and size and date are as they were ──> size is right
    put ──> STOR to a name beside it, after REST where a try broke off ──> SIZE is right ──> RNFR, RNTO
"""

from __future__ import annotations

import contextlib
import ftplib
import os
import ssl
import uuid
from typing import IO, TYPE_CHECKING, Any, Optional
from urllib.parse import unquote

from cnflow.tasks.staging.attempts import Failure, RefusedError
from cnflow.tasks.staging.http_connection import tls_context
from cnflow.tasks.staging.steps import moved

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from cnflow.tasks.staging.options import Content, ServerOptions

_CHUNK = 1024 * 1024
_PORTS = {"ftp": 21, "ftpes": 21, "ftps": 990}


class FtpDownload:
    """Tries to download one file.

    Args:
        parts: URL of the file.
        options: the user's settings.
        content: what is known of the file.
    """

    def __init__(self, parts: SplitResult, options: ServerOptions, content: Content) -> None:
        self._server = _Server(parts, options)
        self._content = content
        self._version: tuple[Optional[int], str] = (None, "")
        """Size and date of the file whose beginning was written; without both the next try begins anew."""

    def begin_anew(self) -> None:
        """Have the next try begin with the first byte: what came is not the file."""
        self._version = (None, "")

    def get(self, file: IO[bytes], timeout: float) -> Optional[Failure]:
        """Try to write the rest of the file to *file*; return None if it is complete.

        Raises:
            RefusedError: another try would fail as well.
            OSError, EOFError, ftplib.Error: the connection broke, or *file* cannot be written.
        """
        path = self._server.path
        with self._server.connect(timeout) as server:
            size, date = version = _size(server, path), _date(server, path)
            wanted = self._content.size
            if None not in {wanted, size} and wanted != size:
                raise RefusedError(f"the server has {size:,} bytes of it, not {wanted:,}")
            is_same = size is not None and date != "" and version == self._version
            begin = file.tell() if is_same else 0
            self._version = version
            file.seek(begin)
            file.truncate()
            try:
                server.retrbinary(f"RETR {path}", lambda data: _write(file, data), _CHUNK, rest=begin or None)
            except ftplib.error_perm as error:
                if begin:  # it may be REST that it refuses
                    self.begin_anew()
                    return Failure(f"the server answers {error}")
                raise RefusedError(f"the server answers {error}") from None
        if size is not None and file.tell() != size:
            return Failure(f"the connection ended after {file.tell()} of {size} bytes")
        return None


class FtpUpload:
    """Tries to upload one file.

    Args:
        parts: URL of the file.
        options: the user's settings.
    """

    def __init__(self, parts: SplitResult, options: ServerOptions) -> None:
        self._server = _Server(parts, options)
        folder, _, name = self._server.path.rpartition("/")
        self._folder = folder
        self._part = f"{folder}/.{name[:150]}.{uuid.uuid4().hex[:12]}.part"
        """No other upload writes there, so that the rest of this one may be added."""

    def put(self, file: IO[bytes], timeout: float) -> Optional[Failure]:
        """Try to upload *file*; return None if the server has it.

        Raises:
            RefusedError: another try would fail as well.
            OSError, EOFError, ftplib.Error: the connection broke.
        """
        whole = os.fstat(file.fileno()).st_size
        with self._server.connect(timeout) as server:
            begin = min(_size(server, self._part) or 0, whole)
            try:
                self._store(server, file, begin)
            except ftplib.error_perm as error:
                if begin:  # it may be REST that it refuses
                    _delete(server, self._part)
                    return Failure(f"the server answers {error}")
                self._make_folders(server)
                self._store_anew(server, file)
            stored = _size(server, self._part)
            if stored not in {None, whole}:
                _delete(server, self._part)
                return Failure(f"the server has stored {stored} of {whole} bytes")
            self._rename(server)
        return None

    def _store_anew(self, server: ftplib.FTP, file: IO[bytes]) -> None:
        try:
            self._store(server, file, 0)
        except ftplib.error_perm as error:
            raise RefusedError(f"the server answers {error}") from None

    def _store(self, server: ftplib.FTP, file: IO[bytes], begin: int) -> None:
        file.seek(begin)
        server.storbinary(f"STOR {self._part}", file, _CHUNK, rest=begin or None)

    def _make_folders(self, server: ftplib.FTP) -> None:
        """Make the folders of the path, as other uploads may do at the same time."""
        path = ""
        for name in self._folder.split("/")[1:]:
            path += f"/{name}"
            with contextlib.suppress(ftplib.error_perm):  # it exists, or may not be made
                server.mkd(path)

    def _rename(self, server: ftplib.FTP) -> None:
        try:
            server.rename(self._part, self._server.path)
        except ftplib.error_perm:  # some servers replace no file
            _delete(server, self._server.path)
            try:
                server.rename(self._part, self._server.path)
            except ftplib.error_perm as error:
                _delete(server, self._part)
                raise RefusedError(f"the server answers {error}") from None


class _Tls(ftplib.FTP_TLS):
    """Server that agrees on TLS."""

    def ntransfercmd(self, cmd: str, rest: Any = None) -> Any:  # noqa: ANN401 - as the base class
        """Connect for a file, in the TLS session of the commands: many servers ask for that."""
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 - with TLS
        session = getattr(self.sock, "session", None)
        return self.context.wrap_socket(connection, server_hostname=self.host, session=session), size


class _ImplicitTls(_Tls):
    """Server that speaks TLS from the first byte."""

    _socket: Any = None

    @property
    def sock(self) -> Any:  # noqa: ANN401 - as the base class sets it
        return self._socket

    @sock.setter
    def sock(self, value: Any) -> None:  # noqa: ANN401 - the same
        if value is not None and not isinstance(value, ssl.SSLSocket):
            value = self.context.wrap_socket(value, server_hostname=self.host)
        self._socket = value


class _Server:
    """Server of one file.

    Args:
        parts: URL of the file.
        options: the user's settings.

    Raises:
        RefusedError: the path cannot be sent.
    """

    def __init__(self, parts: SplitResult, options: ServerOptions) -> None:
        self._parts = parts
        self._options = options
        self.path = unquote(parts.path)
        if "\r" in self.path or "\n" in self.path:
            raise RefusedError("a line break in the path would end the FTP command")

    def connect(self, timeout: float) -> ftplib.FTP:
        """Connect and log in.

        Raises:
            RefusedError: the server does not let the user in, or speaks no TLS.
            OSError, EOFError, ftplib.Error: the connection broke.
        """
        parts, scheme = self._parts, self._parts.scheme.lower()
        server = self._new(scheme, timeout)
        try:
            server.encoding = "utf-8"
            server.connect(parts.hostname or "", parts.port or _PORTS[scheme])
            self._log_in(server)
        except (ssl.SSLCertVerificationError, ssl.SSLEOFError):
            server.close()
            raise
        except ssl.SSLError as error:
            server.close()
            other = "ftpes:, which agrees on TLS" if scheme == "ftps" else "ftps:, which begins with TLS"
            raise RefusedError(f"TLS fails: {error}. If the server speaks it in the other way, write {other}") from None
        except ftplib.error_perm as error:
            server.close()
            raise RefusedError(f"the server answers {error}") from None
        except BaseException:
            server.close()
            raise
        return server

    def _new(self, scheme: str, timeout: float) -> ftplib.FTP:
        if scheme == "ftp":
            return ftplib.FTP(timeout=timeout)  # noqa: S321 - the user's URL says ftp
        kind = _ImplicitTls if scheme == "ftps" else _Tls
        return kind(timeout=timeout, context=tls_context(self._options.authorities))

    def _log_in(self, server: ftplib.FTP) -> None:
        """Log in; with TLS, only after commands are encrypted."""
        user = unquote(self._parts.username or "") or self._options.user
        password = unquote(self._parts.password or "")
        if not self._parts.username and self._options.password is not None:
            password = self._options.password.read("password")
        if any(letter in user + password for letter in "\r\n"):
            raise RefusedError("a line break in the name or password would end the FTP command")
        server.login(user, password)
        if isinstance(server, ftplib.FTP_TLS):
            server.prot_p()


def _size(server: ftplib.FTP, path: str) -> Optional[int]:
    """Size of the file at *path* in bytes; None if the server does not tell."""
    try:
        server.voidcmd("TYPE I")  # some tell the size of a text otherwise
        return server.size(path)
    except ftplib.error_perm:
        return None


def _date(server: ftplib.FTP, path: str) -> str:
    try:
        return server.sendcmd(f"MDTM {path}")
    except ftplib.error_perm:
        return ""


def _delete(server: ftplib.FTP, path: str) -> None:
    try:
        server.delete(path)
    except ftplib.error_perm:
        return


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    moved(file.tell())
