"""Stagings for HTTP and FTP servers, in both directions, and the settings that they share."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError
from cnflow.model.image_parts import Secret
from cnflow.staging.file_names import name_of
from cnflow.staging.moves import MovedStaging, SeparateTask
from cnflow.staging.ways import check_tries
from cnflow.tasks.staging.attempts import RetryPolicy
from cnflow.tasks.staging.movers import ServerMover
from cnflow.tasks.staging.options import ServerOptions
from cnflow.tasks.staging.secrets import SecretSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.model.file import File

_SOURCE = re.compile(r"(?:(\w+) )?((?:env|file):.+)")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
_IS_SECRET = re.compile(r"auth|cookie|token|key|secret|password|credential|signature", re.IGNORECASE)


class _Server(MovedStaging):
    """Settings of all servers.

    Args:
        timeout: seconds of silence after which a try fails.
        tries: how often a connection that fails, or a server in trouble, is tried; other answers are final.
        pause: seconds before the second try, doubled before each further one.
        ca_file: file on the driver's machine with the certificates of authorities, in the form PEM, that are trusted
            beside those of the machine that transfers; empty for none.
    """

    def __init__(self, timeout: float = 60.0, tries: int = 4, pause: float = 0.5, ca_file: str = "") -> None:
        check_tries(type(self).__name__, timeout, tries, pause)
        self.timeout = timeout
        self.tries = tries
        self.pause = pause
        self.ca_file = os.fspath(ca_file)

    def name_of_copy(self, file: File) -> str:
        """Last part of the URL's path, decoded."""
        return name_of(file.url)

    @property
    def mover(self) -> ServerMover:
        """Sends requests with these settings."""
        return ServerMover(self._options())

    def _options(self) -> ServerOptions:
        return ServerOptions(RetryPolicy(self.timeout, self.tries, self.pause), self._authorities())

    def _authorities(self) -> str:
        if not self.ca_file:
            return ""
        try:
            return Path(os.path.expandvars(self.ca_file)).expanduser().read_text(encoding="ascii", errors="replace")
        except OSError as error:
            raise ConfigurationError(
                f"{type(self).__name__}: ca_file={self.ca_file!r} cannot be read: {error.strerror}."
            ) from None


class _Http(_Server):
    """Servers with HTTP.

    Args:
        timeout, tries, pause, ca_file: as for every server.
        headers: header -> ``"env:NAME"``, ``"file:PATH"``, ``"Bearer env:NAME"``, a `Secret`, or a text where the
            header's name is none of a secret. Variables and files are read on the machine that transfers.
        proxy: URL of the proxy, or ``"env:NAME"``, ``"file:PATH"`` or a `Secret` where it has a password; empty for
            none. None is what the environment says: ``http_proxy``, ``https_proxy``, ``no_proxy``.
    """

    schemes = ("http", "https")

    def __init__(
        self,
        timeout: float = 60.0,
        tries: int = 4,
        pause: float = 0.5,
        ca_file: str = "",
        *,
        headers: Mapping[str, str | Secret] | None = None,
        proxy: str | Secret | None = None,
    ) -> None:
        super().__init__(timeout, tries, pause, ca_file)
        self.headers = {name: _checked(name, value) for name, value in (headers or {}).items()}
        if isinstance(proxy, str) and "@" in proxy and not _SOURCE.fullmatch(proxy):
            raise ConfigurationError(
                f"{type(self).__name__}: proxy= has a password in it. Write proxy='env:NAME', 'file:PATH' or "
                "Secret(value=...)."
            )
        self.proxy = proxy

    def _options(self) -> ServerOptions:
        headers = tuple((name, source_of(value, f"header {name}")) for name, value in self.headers.items())
        proxy = None if self.proxy is None else source_of(self.proxy, "proxy")
        return super()._options()._replace(headers=headers, proxy=proxy)


class _Ftp(_Server):
    """Servers with FTP: ``ftp:``, ``ftpes:`` (TLS, agreed on the usual port) and ``ftps:`` (TLS from the first byte).

    Args:
        timeout, tries, pause, ca_file: as for every server.
        user: name, unless the URL has one; empty: anonymous.
        password: ``"env:NAME"``, ``"file:PATH"`` or a `Secret`; read on the machine that transfers.
    """

    schemes = ("ftp", "ftps", "ftpes")

    def __init__(
        self,
        timeout: float = 60.0,
        tries: int = 4,
        pause: float = 0.5,
        ca_file: str = "",
        *,
        user: str = "",
        password: str | Secret | None = None,
    ) -> None:
        super().__init__(timeout, tries, pause, ca_file)
        self.user = user
        self.password = None if password is None else _checked("password", password)

    def _options(self) -> ServerOptions:
        password = None if self.password is None else source_of(self.password, "password")
        return super()._options()._replace(user=self.user, password=password)


class HTTPSeparateTaskStaging(_Http, SeparateTask):
    """Moves ``http:`` and ``https:`` by tasks of their own; outputs by PUT."""


class HTTPInTaskStaging(_Http):
    """Moves ``http:`` and ``https:`` in the task that reads or writes them; outputs by PUT."""


class FTPSeparateTaskStaging(_Ftp, SeparateTask):
    """Moves ``ftp:``, ``ftps:`` and ``ftpes:`` by tasks of their own; anonymous unless there is a name."""


class FTPInTaskStaging(_Ftp):
    """Moves ``ftp:``, ``ftps:`` and ``ftpes:`` in the task itself; anonymous unless there is a name."""


def source_of(value: str | Secret, name: str) -> SecretSource:
    """What travels of a setting: the source, or the text where only the driver can read it.

    Raises:
        ConfigurationError: the user's function raises; *name* begins the message.
    """
    if isinstance(value, Secret):
        if value.env or value.file:
            return SecretSource(env=value.env, file=value.file)
        return SecretSource(text=value.read(name))
    found = _SOURCE.fullmatch(value)
    if found is None:
        return SecretSource(text=value)
    secret = Secret.of(found[2])
    return SecretSource(f"{found[1]} " if found[1] else "", secret.env, secret.file)


def _checked(name: str, value: Any) -> str | Secret:  # noqa: ANN401 - a user's value
    """Return *value* unless it is the text of a secret, or nothing that can be sent.

    Raises:
        ConfigurationError: it is; the message does not quote it.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"headers: {name!r} is no name of a header.")
    if isinstance(value, Secret) or (isinstance(value, str) and _SOURCE.fullmatch(value)):
        return value
    if not isinstance(value, str):
        return Secret.of(value)
    if _IS_SECRET.search(name):
        raise ConfigurationError(
            f"{name} holds a secret in clear. Write 'env:NAME' or 'file:PATH', for a header with its scheme before it "
            "('Bearer env:TOKEN'), or Secret(value=...)."
        )
    return value
