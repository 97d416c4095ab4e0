"""Interchange at a site: on the machine that a provider's channel leads to, started from a capsule that is sent there.

::

    connect ──> channel opened ── facts, capsule ──> interpreter and code at the site; addresses for managers
    start ────> channel.command(python .../interchange/__main__.py --attach) ──> relay ──> interchange, detached
    attach ───> the same command, over the channel's connection or a new one ──> relay ──> │

Settings with their keys pass the stream; no file at the site holds them. The interchange ends `grace` seconds after it
last had a driver, and its managers with it.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from cnflow.addresses import LOOPBACK
from cnflow.config.registry import backend_of
from cnflow.errors import ChannelError
from cnflow.executors.high_throughput.interchange_host import run_relay
from cnflow.model.interchange_settings import RelayRequest
from cnflow.sites.folder import SiteFolder

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cnflow.config.interchange_place import SiteAddress
    from cnflow.executors.high_throughput.interchange_process import InterchangeProcess
    from cnflow.interfaces import Provider
    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.units import Seconds


@runtime_checkable
class HasSite(Protocol):
    """A provider that has the live site: the interchange shares its connection, so that the user logs in once."""

    site: SiteFolder


class AtSite:
    """See `cnflow.executors.high_throughput.interchange_host.InterchangeHost`.

    Args:
        address: of the site.
        grace: seconds that the interchange lives without its driver.
        log_file: stderr of the channel's command is appended here.
    """

    def __init__(self, address: SiteAddress, grace: Seconds, log_file: Path) -> None:
        self.grace = grace
        self.log_file = log_file
        self.name = "the connection with the interchange at the site"
        self._address = address
        self._site: SiteFolder | None = None
        self._is_own = False
        """The site was made here, and is closed here: the provider has none."""

        self._argv: list[str] = []

    def prepare(self) -> None:
        """Nothing: the site is reached once its provider is there."""

    def connect(self, provider: Provider) -> None:
        """Log in, and send the interchange's code if the site does not have it."""
        if isinstance(provider, HasSite):
            site = provider.site
        else:
            channel = backend_of(self._address.channel)(self._address.channel)
            site, self._is_own = SiteFolder(channel, self._address.folder), True
        self._site = site
        site.channel.open()
        node = site.bare_node()
        main = posixpath.join(node.root, "cnflow/interchange/__main__.py")
        self.name = f"the connection with the interchange on {site.channel.name}"
        self._argv = [node.python, "-s", main, "--attach"]

    def addresses(self, provider: Provider) -> Collection[str]:
        """Addresses of the site's machine; loopback if it has no other."""
        del provider
        return self._connected().facts().addresses or (LOOPBACK,)

    def close(self) -> None:
        """Close the channel, if the provider does not have it."""
        if self._is_own and self._site is not None:
            self._site.channel.close()

    def start(self, settings: InterchangeSettings, replaces: str) -> InterchangeProcess:
        """See `InterchangeHost`."""
        spool = posixpath.join(self._connected().facts().folder, "spool", settings.session)
        settings = msgspec.structs.replace(settings, spool=spool)
        return self._run(RelayRequest(session=settings.session, replaces=replaces, settings=settings))

    def attach(self, session: str) -> InterchangeProcess:
        """See `InterchangeHost`."""
        return self._run(RelayRequest(session=session))

    def _run(self, request: RelayRequest) -> InterchangeProcess:
        try:
            argv = self._connected().channel.command(self._argv)
        except ChannelError as error:
            raise ConnectionError(str(error)) from error
        return run_relay(argv, request, self.log_file)

    def _connected(self) -> SiteFolder:
        assert self._site is not None, "connect comes first"
        return self._site
