"""Makes the certificate by which machines know the boot server; needs the package ``cryptography``, imported on use."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
from typing import NamedTuple

from cnflow.addresses import is_ip
from cnflow.errors import MissingExtraError
from cnflow.providers._shared.machines.user_data import Pin

_FIRST, _LAST = (dt.datetime(year, 1, 1, tzinfo=dt.timezone.utc) for year in (2000, 2099))
"""Validity. A machine's clock may be wrong by years when it boots, and a run's key is never used by another run."""

NAME = "cnflow boot server"


class Identity(NamedTuple):
    """Key and certificate of a boot server."""

    pin: Pin
    key: str
    """Secret key, PEM."""


def new_identity(hosts: tuple[str, ...]) -> Identity:
    """Draw a key, and certify it for the addresses and names *hosts*, which GNU wget compares.

    Raises:
        MissingExtraError: the package is not installed.
    """
    with MissingExtraError.for_import("A provider of machines", "aws"):
        from cryptography import x509  # noqa: PLC0415 - part of the extras of clouds
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 - the same
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - the same
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    names = [x509.IPAddress(ipaddress.ip_address(each)) if is_ip(each) else x509.DNSName(each) for each in hosts]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FIRST)
        .not_valid_after(_LAST)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, info = serialization.Encoding, serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(encoding.DER, info)
    pin = Pin(
        made.public_bytes(encoding.PEM).decode(),
        hashlib.sha256(made.public_bytes(encoding.DER)).hexdigest(),
        base64.b64encode(hashlib.sha256(public).digest()).decode(),
    )
    secret = key.private_bytes(encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Identity(pin, secret.decode())
