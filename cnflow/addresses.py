"""Addresses of this machine. Sends nothing to other machines, except `address_by_query`, which the user calls."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import re
import selectors
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cnflow.units import Seconds

LOOPBACK = "127.0.0.1"
_SIOCGIFADDR = 0x8915  # netdevice(7)
_HOST_AND_PORT = re.compile(r"(\[(?P<ipv6>[^\[\]\s]*:[^\[\]\s]*)\]|(?P<host>[^:\[\]\s]+)):(?P<port>[0-9]{1,5})")
_LAST_PORT = 65535
_MAX_ANSWER = 100
"""Bytes; the text of an IPv6 address has 45 at most."""

_RETRY_PERIOD = 0.2
"""Seconds after which a host that refused a connection is tried again."""


def is_loopback(host: str) -> bool:
    """True if *host* is an address that only this machine can reach."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def is_ip(host: str) -> bool:
    """True if *host* is an IPv4 or IPv6 address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_own(host: str) -> bool:
    """True if *host* is an address of this machine, on which a socket can listen."""
    try:
        with _tcp_socket_to(host) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def in_url(host: str) -> str:
    """*host* as written before a port: an IPv6 address is put in brackets."""
    return f"[{host}]" if ":" in host else host


def tcp_url(address: str, port: int | str | None = None) -> str:
    """``tcp://ADDRESS:PORT``, with brackets around an IPv6 address; ``tcp://ADDRESS`` without a port."""
    return f"tcp://{in_url(address)}:{port}" if port else f"tcp://{address}"


def host_and_port(text: str) -> tuple[str, int]:
    """Parse ``"HOST:PORT"`` or ``"[IPV6]:PORT"``.

    Raises:
        ValueError: *text* is neither; the message shows both forms.
    """
    found = _HOST_AND_PORT.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"]) <= _LAST_PORT:
        raise ValueError(f"an address is written 'host:port' or '[IPv6]:port', with a port up to 65535, not {text!r}")
    return found["ipv6"] or found["host"], int(found["port"])


def address_by_route() -> str:
    """Return the address from which this machine would send to the internet; nothing is sent.

    Raises:
        OSError: there is no such route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737): not routed
        return str(probe.getsockname()[0])


def address_by_hostname() -> str:
    """Return the address of this machine's host name.

    Raises:
        OSError: the name has no address.
    """
    return socket.gethostbyname(socket.gethostname())


def address_by_interface(ifname: str) -> str:
    """Return the IPv4 address of a network interface, such as ``eth0``.

    Raises:
        OSError: there is no such interface, or it has no IPv4 address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("256s", ifname.encode()[:15])
        answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
    return socket.inet_ntoa(answer[20:24])


def address_by_query(timeout: float = 30.0, *, url: str = "") -> str:
    """Ask a web service for the public address of this machine; behind a gateway, that of the gateway.

    Args:
        timeout: seconds to wait for the answer.
        url: of a service that answers with the address alone.

    Raises:
        ConfigurationError: no *url* is given, or the answer is no address.
        OSError: the service does not answer.
    """
    if not url.startswith(("http://", "https://")):
        problem = f"{url!r} is no URL of one" if url else "cnflow has no default for it"
        raise ConfigurationError(
            f"address_by_query() needs the URL of a web service: {problem}. Write address_by_query(url='https://...'), "
            "or use address_by_route(), address_by_hostname() or address_by_interface('eth0'), which need no service."
        )
    import urllib.request  # noqa: PLC0415 - slow to import, and workers never need it

    with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 - http, and the user's own URL
        text = answer.read(_MAX_ANSWER).decode("ascii", "replace").strip()
    if not is_ip(text):
        raise ConfigurationError(f"{url} answers {text!r}, which is no address. Use one that answers with an address.")
    return str(text)


def get_all_addresses() -> set[str]:
    """Return all IPv4 addresses of this machine, loopback included."""
    return {*addresses_of_interfaces(), *addresses_of_this_machine()}


def get_any_address() -> str:
    """Return the likeliest address of this machine for others; loopback if it has no other."""
    return addresses_of_this_machine()[0]


def addresses_of_interfaces(without: Collection[str] = ()) -> list[str]:
    """Return the IPv4 address of each interface that has one, in the kernel's order, loopback included.

    Args:
        without: names of interfaces to leave out.
    """
    found = []
    for _, name in socket.if_nameindex():
        if name in without:
            continue
        with contextlib.suppress(OSError):  # an interface without an IPv4 address
            found.append(address_by_interface(name))
    return list(dict.fromkeys(found))


def addresses_for_others() -> list[str]:
    """Return the addresses at which other machines may find this one, that of its default route first.

    Loopback only if it has no other. Not those of bridges: that of a container engine is the same on many machines, and
    leads to another one from elsewhere.
    """
    bridges = [path.parent.name for path in Path("/sys/class/net").glob("*/bridge")]
    found = list(dict.fromkeys([*addresses_of_this_machine(), *addresses_of_interfaces(bridges)]))
    return [host for host in found if not is_loopback(host)] or found


def addresses_of_this_machine() -> list[str]:
    """Return the addresses of this machine by route and by host name, likeliest first, loopback last."""
    found: list[str] = []
    for find in (address_by_route, address_by_hostname):
        try:
            found.append(find())
        except OSError:
            continue  # an ordinary laptop has no route, or no name that resolves
    return [*dict.fromkeys(a for a in found if not is_loopback(a)), LOOPBACK]


def first_reachable(hosts: Sequence[str], port: int, timeout: Seconds) -> str | None:
    """Return the first of *hosts* that accepts a TCP connection on *port*; None if none does within *timeout* seconds.

    All are tried at once, and again where they refuse or fail: an interchange that is started again listens soon.
    """
    deadline = time.monotonic() + timeout
    with contextlib.closing(_ConnectionAttempts(hosts, port)) as attempts:
        while True:
            attempts.start()
            left = deadline - time.monotonic()
            # With no time left, as after a process that was stopped, the answers that are there are read nevertheless.
            found = attempts.wait(max(0.0, min(left, _RETRY_PERIOD)))
            if found is not None or left <= 0:
                return found


class _ConnectionAttempts:
    """Connections that are being made to one port of several hosts, one each at a time."""

    def __init__(self, hosts: Sequence[str], port: int) -> None:
        self._ranks = {host: rank for rank, host in enumerate(dict.fromkeys(hosts))}
        self._port = port
        self._waiting = selectors.DefaultSelector()
        self._pending: dict[str, socket.socket] = {}

    def close(self) -> None:
        """Give up what is under way."""
        for host in tuple(self._pending):
            self._close(host)
        self._waiting.close()

    def start(self) -> None:
        """Begin an attempt to each host to which none is under way."""
        for host in self._ranks:
            if host not in self._pending:
                with contextlib.suppress(OSError):  # a machine without IPv6, a name that does not resolve here (yet)
                    self._begin(host)

    def wait(self, seconds: float) -> str | None:
        """Return the first host that accepts, at once, or None after *seconds*; attempts that fail are forgotten."""
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            ready = self._waiting.select(max(0.0, left))
            for key, _ in sorted(ready, key=lambda entry: self._ranks[str(entry[0].data)]):
                if self._pending[key.data].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    return str(key.data)
                self._close(key.data)
            if left <= 0:
                return None

    def _begin(self, host: str) -> None:
        attempt = _tcp_socket_to(host)
        attempt.setblocking(False)
        try:
            error = attempt.connect_ex((host, self._port))
        except OSError:
            attempt.close()
            raise
        if error not in {0, errno.EINPROGRESS}:  # as without a route; such a socket would look connected to `select`
            attempt.close()
            return
        self._pending[host] = attempt
        self._waiting.register(attempt, selectors.EVENT_WRITE, host)

    def _close(self, host: str) -> None:
        attempt = self._pending.pop(host)
        self._waiting.unregister(attempt)
        attempt.close()


def _tcp_socket_to(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
