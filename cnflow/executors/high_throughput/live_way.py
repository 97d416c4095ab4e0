"""Live half of an executor's way: managers that are looked for, a tunnel that is kept.

::

    Listen   use_folder ──> ListeningManagers ── Dial ──> interchange
    Tunnel   use_port ────> TunnelCommand
    DialIn   nothing: managers connect by themselves
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.clock import SystemClock
from cnflow.config.ways import Tunnel
from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cnflow.config import HighThroughputExecutor
    from cnflow.executors.high_throughput.interchange_client import InterchangeClient
    from cnflow.executors.high_throughput.listening_managers import ListeningManagers
    from cnflow.executors.high_throughput.managers import ConnectedManagers
    from cnflow.executors.high_throughput.tunnel_command import TunnelCommand
    from cnflow.ids import BlockId
    from cnflow.wire.dial_messages import DialFailed


class LiveWay:
    """Way of one executor's managers.

    Args:
        settings: of the executor.
        log_dir: folder of its logs.
        client: of the interchange, which gets orders to connect.
        managers: those that may connect.
    """

    def __init__(
        self,
        settings: HighThroughputExecutor,
        log_dir: Path,
        client: InterchangeClient,
        managers: ConnectedManagers,
    ) -> None:
        self._label, self._way = settings.label, settings.way
        self._log_dir = log_dir
        self._client = client
        self._managers = managers
        self._listening: ListeningManagers | None = None
        self._tunnel: TunnelCommand | None = None

    def use_folder(self, folder: str) -> None:
        """Look for managers that listen in *folder*; empty where they do not listen.

        Raises:
            ConfigurationError: the folder cannot be used.
        """
        if not folder:
            return
        from cnflow.executors.high_throughput.listening_managers import ListeningManagers  # noqa: PLC0415 - rare

        admitted = self._managers.admitted
        self._listening = ListeningManagers(self._label, folder, self._client.order, admitted, SystemClock())
        try:
            self._listening.start()
        except OSError as error:
            raise ConfigurationError(
                f"The addresses of managers cannot be found: {error}. Set Listen(folder=...) of executor "
                f"{self._label!r} to a folder that this machine and the nodes share and can write."
            ) from error

    def use_port(self, port: int) -> None:
        """Start the program that keeps the tunnel to *port*, if the way has one.

        Raises:
            ConfigurationError: the program does not exist.
        """
        if isinstance(self._way, Tunnel) and self._way.command:
            from cnflow.executors.high_throughput.tunnel_command import keep_tunnel  # noqa: PLC0415 - rare

            self._tunnel = keep_tunnel(self._label, self._way, port, self._log_dir)

    def on_admitted(self) -> None:
        """Look for managers often: blocks are about to start."""
        if self._listening is not None:
            self._listening.on_admitted()

    def on_block_gone(self, block: BlockId) -> None:
        """Remove what managers of *block* have left."""
        if self._listening is not None:
            self._listening.forget(block)

    def on_dial_failed(self, failed: DialFailed) -> None:
        """Note that the interchange cannot reach a manager that listens."""
        if self._listening is not None:
            self._listening.on_dial_failed(failed)

    @property
    def explain(self) -> Callable[[BlockId], str] | None:
        """Function that explains why no manager of a block is connected; None where nothing is known here."""
        return self._explain if self._listening is not None or isinstance(self._way, Tunnel) else None

    def close(self) -> None:
        """End the tunnel, and remove the folder."""
        if self._listening is not None:
            self._listening.close()
        if self._tunnel is not None:
            self._tunnel.close()

    def _explain(self, block: BlockId) -> str:
        if self._listening is not None:
            return (
                f"Its managers listen: {self._listening.explain(block)}. If a firewall is in between, set "
                "Listen(ports=...) to ports that it lets through"
            )
        address = self._way.address if isinstance(self._way, Tunnel) else ""
        how = self._tunnel.how if self._tunnel is not None else ""
        ended = f" Its command {how}; see tunnel.log." if how else ""
        return f"Its managers try the near end of a tunnel, {address}.{ended} See that it leads here"
