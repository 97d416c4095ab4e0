"""TLS of the front, from files that may be replaced while it runs."""

from __future__ import annotations

import logging
import os
import ssl
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from cnflow.config.http_front import HttpSettings

logger = logging.getLogger(__name__)

Stamps = tuple[tuple[int, int], ...]


def tls_context(settings: HttpSettings) -> ssl.SSLContext | None:
    """Return the TLS of *settings*; None for plain HTTP.

    Raises:
        ConfigurationError: a file is missing, or is no certificate or key that belong together.
    """
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        if settings.tls_client_ca is not None:
            context.load_verify_locations(settings.tls_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(each for each in (settings.tls_cert, settings.tls_key, settings.tls_client_ca) if each)
        raise ConfigurationError(f"TLS cannot use {files}: {error}") from error
    return context


def file_stamps(settings: HttpSettings) -> Stamps:
    """Return what changes when a file of the certificate does; empty without TLS, or if one is missing for a moment."""
    try:
        found = [os.stat(each) for each in (settings.tls_cert, settings.tls_key) if each]  # noqa: PTH116
    except OSError:
        return ()
    return tuple((each.st_mtime_ns, each.st_ino) for each in found)


def reload_certificate(context: ssl.SSLContext, settings: HttpSettings, before: Stamps) -> Stamps:
    """Give *context* the certificate anew if its files have changed since *before*; connections that stand go on."""
    now = file_stamps(settings)
    if not now or now == before or settings.tls_cert is None:
        return before
    try:
        tls_context(settings)  # a half-written pair is found before it replaces the good one
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (ConfigurationError, OSError) as error:
        logger.warning("The certificate stays as it was: %s", error)
        return before
    logger.info("Read the certificate %s again", settings.tls_cert)
    return now
