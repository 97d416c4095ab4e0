"""Sends what a machine has to report to the boot server, which keeps it for the error of the block."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
from typing import TYPE_CHECKING

from cnflow.vm_agent.boot_claims import REPORT

if TYPE_CHECKING:
    from cnflow.model.boot_order import BootOrder

_PATIENCE = 5.0
"""Seconds for each address: the machine ends, and is paid for, while it reports."""


def send_report(order: BootOrder, nonce: str, content: bytes) -> str:
    """Send *content* to the first address of the server that takes it; return why none did, or an empty text."""
    words = "no address of it is known"
    for host in order.hosts:
        try:
            _send(host, order, nonce, content)
        except (OSError, http.client.HTTPException) as error:
            words = f"{host} port {order.port}: {error}"
        else:
            return ""
    return words


def _send(host: str, order: BootOrder, nonce: str, content: bytes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the certificate itself is compared, before anything is sent
    with socket.create_connection((host, order.port), _PATIENCE) as raw, context.wrap_socket(raw) as link:
        found = hashlib.sha256(link.getpeercert(binary_form=True) or b"").hexdigest()
        if found != order.digest:
            raise OSError("it has another certificate than the run's")
        head = f"POST /{order.token}/{nonce}/{REPORT} HTTP/1.0\r\nContent-Length: {len(content)}\r\n\r\n"
        link.sendall(head.encode() + content)
        answer = http.client.HTTPResponse(link)
        answer.begin()
        answer.read()
