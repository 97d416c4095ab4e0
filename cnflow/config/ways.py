"""Settings of the way on which managers and interchange get a connection; the default suits most networks.

::

    DialIn    managers ──────────────────> interchange          the nodes reach the interchange's machine
    Listen    managers <────────────────── interchange          only the other direction is open
    Tunnel    managers ──> near end ═════> interchange          neither is, but ssh or another program gets through
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator

from cnflow.addresses import host_and_port
from cnflow.config.base import Settings
from cnflow.config.paths import PathText
from cnflow.errors import ConfigurationError, UnknownNameError

PortNumber = Annotated[int, Field(ge=1, le=65535)]
PortRange = tuple[PortNumber, PortNumber]


def ports_in_order(ports: tuple[int, int] | None) -> tuple[int, int] | None:
    """Check a range of ports.

    Raises:
        ValueError: the first port is above the last.
    """
    if ports is not None and ports[0] > ports[1]:
        raise ValueError(f"the first port, {ports[0]}, is above the last, {ports[1]}")
    return ports


class DialIn(Settings):
    """Managers connect to the interchange."""

    kind: Literal["dial_in"] = "dial_in"
    addresses: list[str] = Field(default_factory=list)
    """Addresses of the interchange's machine, of which each manager takes the first that answers; empty is ``address``
    of the executor, or asks the provider."""


class Listen(Settings):
    """Managers listen, and the interchange connects to them: for nodes that accept connections and may make none.

    A manager writes its addresses into a file, which the driver reads: nodes and driver need a folder that both see.
    """

    kind: Literal["listen"] = "listen"
    ports: PortRange | None = None
    """First and last TCP port that managers may listen on; None takes any free ones. Each manager takes two."""

    interface: str = ""
    """Network interface of the nodes, such as ``ib0``, whose address is used; empty is all. IPv4 only."""

    folder: PathText | None = None
    """Folder that the nodes and the driver's machine see under the same path; None is the run's own."""

    @field_validator("ports")
    @classmethod
    def _there_are_two_ports(cls, ports: tuple[int, int] | None) -> tuple[int, int] | None:
        if ports is not None and ports[0] == ports[1]:
            raise ValueError(f"a manager takes two ports; {ports[0]} alone is not enough")
        return ports_in_order(ports)


class Tunnel(Settings):
    """Managers connect to the near end of a tunnel, which leads to the interchange's port: ``ssh -R``, port forwarding.

    ``{port}`` in `address` and `command` is the port of the interchange, which listens on loopback, or at the
    ``address`` of the executor.
    """

    kind: Literal["tunnel"] = "tunnel"
    address: str
    """Near end as the nodes see it, ``host:port``."""

    command: list[str] = Field(default_factory=list)
    """Program that keeps the tunnel, run on the driver's machine as long as the executor lives, and again whenever it
    ends; empty where somebody else keeps it. It must not ask for a password."""

    @field_validator("address")
    @classmethod
    def _the_address_has_a_port(cls, address: str) -> str:
        host_and_port(address.replace("{port}", "1"))
        return address


Way = DialIn | Listen | Tunnel
_KINDS = {cls.model_fields["kind"].default: cls for cls in get_args(Way)}


def _by_kind(value: object) -> object:
    """Make settings of a table of a file."""
    if isinstance(value, DialIn | Listen | Tunnel):
        return value
    if not isinstance(value, Mapping):
        name = value.__name__ if isinstance(value, type) else value
        raise ValueError(f"must be an object, such as way=Listen(), not {name!r}")  # noqa: TRY004 - pydantic wants ValueError
    options: dict[str, Any] = {str(name): option for name, option in value.items()}
    if "kind" not in options:
        raise ConfigurationError(f"The way {options!r} has no kind. Add one of: {', '.join(sorted(_KINDS))}.")
    kind = options.pop("kind")
    if kind not in _KINDS:
        raise UnknownNameError("way", str(kind), sorted(_KINDS))
    return _KINDS[kind](**options)


AnyWay = Annotated[DialIn | Listen | Tunnel, BeforeValidator(_by_kind)]
