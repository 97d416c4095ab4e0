"""Settings of the HTTP front of served models."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from cnflow.config.base import Settings
from cnflow.config.paths import PathText
from cnflow.config.quantities import Bytes, Duration


class HttpSettings(Settings):
    """Where the front listens, who may call it, and how much a request may take."""

    extra: ClassVar[str] = "serving"
    packages: ClassVar[tuple[str, ...]] = ("httptools", "starlette", "uvicorn", "uvloop")

    listen: str = "127.0.0.1"
    """Address to listen on. The default is reached from this machine alone; ``0.0.0.0`` is every interface, for which
    API keys are wanted, or `allow_anyone`."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 is any that is free."""

    api_keys: dict[str, str] = Field(default_factory=dict, repr=False)
    """Keys that callers send as ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``, by the names that logs and limits
    have for them. Without any, and without `key_file`, everyone may call who reaches the port."""

    key_file: PathText | None = None
    """File of more keys: a name and a key in each line; ``#`` begins a comment. It is read again when it changes."""

    admin_keys: list[str] = Field(default_factory=list)
    """Names of the keys with which versions may be changed over HTTP; without any, only by ``cnflow serve``."""

    allow_anyone: bool = False
    """Serve without keys on an address that other machines reach."""

    allow_origins: list[str] = Field(default_factory=list)
    """Web sites whose scripts may call the models, such as ``https://example.org``; ``*`` is any."""

    open_metrics: bool = False
    """Answer ``/metrics`` without a key, where keys are needed for all else."""

    docs: bool = True
    """Serve the description of the models: ``/docs`` for people, ``/openapi.json`` for programs."""

    tls_cert: PathText | None = None
    """PEM file of the certificate, and those up to its root; with it the front speaks HTTPS. It is read again when it
    changes."""

    tls_key: PathText | None = None
    """PEM file of the certificate's key; None is the file of the certificate."""

    tls_client_ca: PathText | None = None
    """PEM file of certificates; clients need a certificate of their own that one of these has signed."""

    max_body: Bytes = Field(default=64 << 20, ge=1024)
    """Largest body of a request in bytes, after it is decompressed: a larger one is answered with 413."""

    max_rows: int = Field(default=100_000, ge=1)
    """Most rows of a request: one with more is answered with 413."""

    max_requests: int = Field(default=1024, ge=1)
    """Most requests that one front process works at: the next is answered with 429."""

    max_connections: int = Field(default=4096, ge=1)
    """Most connections of one front process: the next is answered with 503, and closed."""

    max_timeout: Duration = Field(default=300.0, gt=0)
    """Longest time of a call in seconds, whatever the client and the model would wait; a stream's time to its first
    piece."""

    head_timeout: Duration = Field(default=10.0, gt=0)
    """Seconds from a connection's, or a request's, first byte until its headers are complete."""

    body_timeout: Duration = Field(default=60.0, gt=0)
    """Seconds from a request's headers until its body is complete."""

    send_timeout: Duration = Field(default=60.0, gt=0)
    """Seconds for which a client may read nothing of an answer that waits for it."""

    idle_timeout: Duration = Field(default=75.0, gt=0)
    """Seconds that an unused connection stays open; more than the proxy before it keeps its own."""

    drain_delay: Duration = Field(default=0.0, ge=0)
    """Seconds between "not ready" and the end of listening, so that a load balancer looks elsewhere first."""

    drain_timeout: Duration = Field(default=30.0, ge=0)
    """Seconds that requests in progress have at the end, before they are cut off."""

    @model_validator(mode="after")
    def _fits(self) -> HttpSettings:
        if self.tls_cert is None and (self.tls_key is not None or self.tls_client_ca is not None):
            raise ValueError("tls_key and tls_client_ca need tls_cert, the server's certificate")
        if self.admin_keys and not self.api_keys and self.key_file is None:
            raise ValueError("admin_keys names keys of api_keys or key_file, and there are none")
        if not (self.api_keys or self.key_file or self.allow_anyone or self.tls_client_ca or is_loopback(self.listen)):
            raise ValueError(
                f"listen={self.listen!r} is reached from other machines: give api_keys or key_file, "
                "or allow_anyone=True"
            )
        return self


def is_loopback(address: str) -> bool:
    """Return whether *address* is reached from its own machine alone."""
    return address in {"localhost", "::1"} or address.startswith("127.")
