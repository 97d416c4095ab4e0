"""Ends of the connections between managers and interchange, as the executor's way decides them. No I/O.

=========== ======================= ==================================================================================
Way         interchange listens at  managers get
=========== ======================= ==================================================================================
`DialIn`    addresses, socket file  the same addresses
`Listen`    nothing                 a folder, into which each writes where it listens itself
`Tunnel`    loopback, or `address`  the near end of the tunnel
=========== ======================= ==================================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.addresses import LOOPBACK, host_and_port, is_loopback
from cnflow.config.ways import DialIn, Listen, Tunnel
from cnflow.errors import ConfigurationError
from cnflow.model.manager_settings import ListenSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cnflow.config import HighThroughputExecutor
    from cnflow.config.ways import Way
    from cnflow.ids import RunId

_LISTEN = "listen:"
"""Begin of the endpoint of managers that listen; the folder of their addresses follows."""


def hosts_to_bind(
    settings: HighThroughputExecutor, ask_provider: Callable[[], Collection[str | None]]
) -> list[str | None]:
    """Return the addresses at which the interchange listens; empty for a socket file, or where it does not."""
    way = settings.way
    if isinstance(way, Listen):
        return []
    if isinstance(way, Tunnel):
        return [settings.address or LOOPBACK]
    return list(way.addresses or ([settings.address] if settings.address else ask_provider()))


def is_encrypted(settings: HighThroughputExecutor, hosts: Collection[str | None], *, is_at_site: bool = False) -> bool:
    """Return whether connections are encrypted: where others than this machine's processes may reach one end.

    Always at a site: other users of a login node reach its loopback.
    """
    if settings.encrypted is not None:
        return settings.encrypted
    return is_at_site or not isinstance(settings.way, DialIn) or any(not is_loopback(host or "") for host in hosts)


def manager_endpoint(
    way: Way, hosts: Collection[str | None], url: str, port: int, folder: Path
) -> tuple[list[str], str]:
    """Return the hosts and the endpoint for managers of an interchange that listens at *port* of *hosts*, as *url*.

    Args:
        way: of the executor.
        hosts: from `hosts_to_bind`.
        url: endpoint of the interchange.
        port: in *url*.
        folder: for the addresses of managers that listen.
    """
    if isinstance(way, Listen):
        return [], f"{_LISTEN}{folder}"
    if isinstance(way, Tunnel):
        host, near = host_and_port(way.address.replace("{port}", str(port)))
        return [host], f"tcp://{{host}}:{near}"
    return [host for host in hosts if host], url


def address_folder(way: Way, log_dir: Path, run: RunId, label: str) -> Path:
    """Return the folder for the addresses of managers that listen; each run and executor has its own."""
    if not isinstance(way, Listen) or way.folder is None:
        return log_dir.absolute() / "addresses"
    return Path(way.folder).absolute() / f"cnflow-{run}-{label}"


def folder_of(endpoint: str) -> str:
    """Return the folder of managers that listen, from their endpoint; empty if they do not."""
    return endpoint.removeprefix(_LISTEN) if endpoint.startswith(_LISTEN) else ""


def listen_settings(way: Way, endpoint: str) -> ListenSettings | None:
    """Settings of managers that listen; None for those that connect."""
    if not isinstance(way, Listen):
        return None
    return ListenSettings(folder=folder_of(endpoint), ports=way.ports, interface=way.interface)


def tunnel_address(way: Way, endpoint: str) -> str:
    """Near end of the tunnel for the words of managers; empty without one."""
    return way.address.rpartition(":")[0] + ":" + endpoint.rpartition(":")[2] if isinstance(way, Tunnel) else ""


def adopted_place(
    settings: HighThroughputExecutor, hosts: Collection[str], place: tuple[str, int] | None
) -> tuple[Collection[str | None], tuple[str, int] | None]:
    """Return where the interchange listens that follows that of a killed driver: hosts, folder and port.

    Args:
        settings: of the executor.
        hosts: for the managers, as the ledger has them.
        place: folder, and port of the managers' endpoint.
    """
    way = settings.way
    if not isinstance(way, Tunnel):
        return hosts, place
    if place is not None and "{port}" not in way.address:
        place = place[0], 0  # the port of the near end is none of this machine's
    return hosts_to_bind(settings, list), place


def refuse_other_way(label: str, way: Way, endpoint: str) -> None:
    """Check that the managers of a killed driver, whose *endpoint* the ledger has, are reached in the same way.

    Raises:
        ConfigurationError: they listen, and the executor waits for their connections, or the reverse.
    """
    if isinstance(way, Listen) != bool(folder_of(endpoint)):
        then = "listen" if folder_of(endpoint) else "connect by themselves"
        raise ConfigurationError(
            f"The managers of executor {label!r} that are to be taken over {then}; load the configuration with the "
            "way= that it had, or without adopt="
        )
