"""Where this machine can be reached."""

from __future__ import annotations

import contextlib
import fcntl
import selectors
import socket
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.units import Seconds

LOOPBACK = "127.0.0.1"
_SIOCGIFADDR = 0x8915  # netdevice(7)


def is_loopback(host: str) -> bool:
    """Whether nobody outside this machine can reach *host*."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def is_own(host: str) -> bool:
    """Whether *host* is an address of this machine, that one can listen on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def address_by_route() -> str:
    """The address from which this machine would send to the outside; nothing is sent.

    Raises:
        OSError: there is no route to the outside.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737): belongs to nobody
        return str(probe.getsockname()[0])


def address_by_hostname() -> str:
    """The address that this machine's own name stands for.

    Raises:
        OSError: the name has no address.
    """
    return socket.gethostbyname(socket.gethostname())


def address_by_interface(ifname: str) -> str:
    """The IPv4 address of a network interface, such as ``eth0``.

    Raises:
        OSError: there is no such interface, or it has no IPv4 address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("256s", ifname.encode()[:15])
        answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
    return socket.inet_ntoa(answer[20:24])


def addresses_of_interfaces() -> list[str]:
    """The IPv4 address of every interface that has one, in the kernel's order, loopback too."""
    found = []
    for _, name in socket.if_nameindex():
        with contextlib.suppress(OSError):  # one without an IPv4 address
            found.append(address_by_interface(name))
    return list(dict.fromkeys(found))


def addresses_of_this_machine() -> list[str]:
    """Every address under which this machine might be reached, likeliest first, loopback last."""
    found: list[str] = []
    for find in (address_by_route, address_by_hostname):
        try:
            found.append(find())
        except OSError:
            continue  # a machine without a route or a resolvable name is an ordinary laptop
    return [*dict.fromkeys(a for a in found if not is_loopback(a)), LOOPBACK]


def first_reachable(hosts: Sequence[str], port: int, timeout: Seconds) -> str | None:
    """The first of *hosts* to accept a TCP connection on *port*, all tried at once; None when none did in time."""
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as waiting:
        for host in hosts:
            attempt = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            attempt.setblocking(False)
            try:
                attempt.connect_ex((host, port))
            except socket.gaierror:  # a name that is not known here, such as one that only some engines define
                attempt.close()
                continue
            waiting.register(attempt, selectors.EVENT_WRITE, host)
        try:
            while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in waiting.select(left):
                    attempt = key.fileobj  # type: ignore[assignment]  # registered above as a socket
                    if attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                        return str(key.data)
                    waiting.unregister(attempt)
                    attempt.close()
            return None
        finally:
            for key in list(waiting.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]  # registered above as sockets
