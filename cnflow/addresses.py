"""Where this machine can be reached. Asks nobody outside it, but for `address_by_query` at an address that is given."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import re
import selectors
import socket
import struct
import time
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.units import Seconds

LOOPBACK = "127.0.0.1"
_SIOCGIFADDR = 0x8915  # netdevice(7)
_HOST_AND_PORT = re.compile(r"(\[(?P<ipv6>[^\[\]\s]*:[^\[\]\s]*)\]|(?P<host>[^:\[\]\s]+)):(?P<port>[0-9]{1,5})")
_LAST_PORT = 65535
_LONGEST_ANSWER = 100
"""Bytes; an IPv6 address is written in 45 at most."""


def is_loopback(host: str) -> bool:
    """Whether nobody outside this machine can reach *host*."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def is_ip(host: str) -> bool:
    """Whether *host* is an IPv4 or IPv6 address, and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_own(host: str) -> bool:
    """Whether *host* is an address of this machine, that one can listen on."""
    try:
        with _tcp_socket_to(host) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def in_url(host: str) -> str:
    """*host* as it stands before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def tcp_url(address: str, port: int | str | None = None) -> str:
    """``tcp://ADDRESS:PORT``, an IPv6 address in brackets then; ``tcp://ADDRESS`` without a port."""
    return f"tcp://{in_url(address)}:{port}" if port else f"tcp://{address}"


def host_and_port(text: str) -> tuple[str, int]:
    """``"HOST:PORT"`` or ``"[IPV6]:PORT"``, taken apart.

    Raises:
        ValueError: it is neither; the message says what is.
    """
    found = _HOST_AND_PORT.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"]) <= _LAST_PORT:
        raise ValueError(f"an address is written 'host:port' or '[IPv6]:port', with a port up to 65535, not {text!r}")
    return found["ipv6"] or found["host"], int(found["port"])


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


def address_by_query(timeout: float = 30.0, *, url: str = "") -> str:
    """The address by which a web service sees this machine: that of the way out, where there is one in between.

    Args:
        timeout: seconds to wait for it.
        url: the service's own; it answers with the address and nothing else.

    Raises:
        ConfigurationError: no *url* is given, or what it answers is no address.
        OSError: it does not answer.
    """
    if not url.startswith(("http://", "https://")):
        named = f"{url!r} is none" if url else "cnflow asks none of its own accord"
        raise ConfigurationError(
            f"address_by_query() needs the web service to ask: {named}. Write address_by_query(url='https://...'), "
            "or take address_by_route(), address_by_hostname() or address_by_interface('eth0'), which ask nobody."
        )
    import urllib.request  # noqa: PLC0415 - slow to import, and workers never ask

    with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 - the user's own, and http
        said = answer.read(_LONGEST_ANSWER).decode("ascii", "replace").strip()
    if not is_ip(said):
        raise ConfigurationError(f"{url} answers {said!r}, which is no address. Name one that answers with that alone.")
    return str(said)


def get_all_addresses() -> set[str]:
    """Every IPv4 address under which this machine might be reached, loopback too."""
    return {*addresses_of_interfaces(), *addresses_of_this_machine()}


def get_any_address() -> str:
    """The likeliest address under which this machine can be reached; loopback when it has no other."""
    return addresses_of_this_machine()[0]


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
            try:
                attempt = _tcp_socket_to(host)
            except OSError:  # a machine without IPv6
                continue
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


def _tcp_socket_to(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
