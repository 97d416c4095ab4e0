"""Settings of transfers, as they travel with a task, and what is known of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

from cnflow.tasks.staging.attempts import RetryPolicy

if TYPE_CHECKING:
    from cnflow.tasks.staging.secrets import SecretSource


class ServerOptions(NamedTuple):
    """How servers are asked."""

    policy: RetryPolicy = RetryPolicy()
    authorities: str = ""
    """Certificates in the form PEM, trusted beside those of the machine."""

    headers: tuple[tuple[str, SecretSource], ...] = ()
    """Sent to HTTP servers; not to the target of a redirection on another server."""

    proxy: Optional[SecretSource] = None
    """URL of the proxy for HTTP servers; an empty one: none. None: as the machine's environment has it."""

    user: str = ""
    """Name for FTP servers, unless the URL has one."""

    password: Optional[SecretSource] = None


class Content(NamedTuple):
    """What is known of a file's content."""

    sha256: Optional[str] = None
    """Hexadecimal digits."""

    size: Optional[int] = None
    """Bytes."""
