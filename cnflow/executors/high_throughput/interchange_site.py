"""Interchange at a site: on the machine that a provider's channel leads to, started from a capsule that is sent there.

::

    prepare, connect ──> channel opened ── facts, capsule ──> interpreter and code at the site; addresses for managers
    start ─────────────> channel.command(python .../interchange/__main__.py --attach) ──> relay ──> interchange
    attach ────────────> the same command, over the channel's connection or a new one ──> relay ──> │  detached

Channels of equal settings share one login, so that the provider's and this one ask the user once. Settings with their
keys pass the stream; no file at the site holds them. The interchange ends `grace` seconds after it
last had a driver, and its managers with it.
"""

from __future__ import annotations

import logging
import posixpath
import threading
from typing import TYPE_CHECKING

import msgspec

from cnflow.addresses import LOOPBACK
from cnflow.config.registry import backend_of
from cnflow.errors import ChannelError, CnflowError
from cnflow.executors.high_throughput.interchange_host import HostWords, run_relay
from cnflow.model.interchange_settings import RelayRequest
from cnflow.sites.folder import SiteFolder

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cnflow.config.interchange_place import SiteAddress
    from cnflow.executors.high_throughput.interchange_process import InterchangeProcess
    from cnflow.interfaces import Provider
    from cnflow.interfaces.channel import Channel
    from cnflow.model.interchange_settings import InterchangeSettings
    from cnflow.units import Seconds

logger = logging.getLogger(__name__)


class AtSite:
    """See `cnflow.executors.high_throughput.interchange_host.InterchangeHost`.

    Args:
        address: of the site.
        grace: seconds that the interchange lives without its driver.
        log_file: stderr of the channel's command is appended here.
    """

    reaches_first = True
    words = HostWords()

    def __init__(self, address: SiteAddress, grace: Seconds, log_file: Path) -> None:
        self.grace = grace
        self.log_file = log_file
        channel = backend_of(address.channel)(address.channel)
        self._channel: Channel = channel
        self.name = f"the connection with the interchange on {channel.name}"
        self._site = SiteFolder(channel, address.folder)
        self._argv: list[str] = []
        self._reaching: threading.Thread | None = None
        self._opening: threading.Thread | None = None
        self._is_closed = False
        self._error: CnflowError | None = None
        """Why the site was not reached."""

    def prepare(self) -> None:
        """Begin to reach the site, while the provider prepares its image there."""
        self._reaching = threading.Thread(target=self._reach, name="cnflow-reach-site", daemon=True)
        self._reaching.start()

    def connect(self, provider: Provider) -> None:
        """Wait until the user is logged in, and the site has the interchange's code."""
        del provider
        if self._reaching is None:
            self.prepare()
        assert self._reaching is not None
        self._reaching.join()
        if isinstance(self._error, ChannelError):  # the provider has reached it since: the connection was broken
            logger.warning("the site of the interchange is reached again: %s", self._error)
            self._error = None
            self._reach()
        if self._error is not None:
            raise self._error

    def _reach(self) -> None:
        try:
            self._channel.open()
            node = self._site.bare_node()
        except CnflowError as error:
            self._error = error
        except BaseException as error:  # a channel may be any code
            logger.exception("the site of the interchange cannot be reached")
            self._error = ChannelError(f"The site cannot be reached: {type(error).__name__}: {error}")
        else:
            main = posixpath.join(node.root, "cnflow/interchange/__main__.py")
            self._argv = [node.python, "-s", main, "--attach"]
        self._leave_if_closed()

    def addresses(self, provider: Provider) -> Collection[str]:
        """Addresses of the site's machine; loopback if it has no other."""
        del provider
        return self._site.facts().addresses or (LOOPBACK,)

    def close(self) -> None:
        """Leave the channel."""
        self._is_closed = True
        self._channel.close()

    def start(self, settings: InterchangeSettings, replaces: str) -> InterchangeProcess:
        """See `InterchangeHost`."""
        spool = posixpath.join(self._site.facts().folder, "spool", settings.session)
        settings = msgspec.structs.replace(settings, spool=spool)
        return self._run(RelayRequest(session=settings.session, replaces=replaces, settings=settings))

    def attach(self, session: str) -> InterchangeProcess:
        """See `InterchangeHost`; the channel makes its own connection again meanwhile, if it has lost it."""
        if self._opening is None or not self._opening.is_alive():
            self._opening = threading.Thread(target=self._open, name="cnflow-reconnect", daemon=True)
            self._opening.start()
        return self._run(RelayRequest(session=session))

    def _open(self) -> None:
        try:
            self._channel.open()
        except ChannelError as error:
            logger.debug("%s", error)  # the command that attaches fails, too, and its end is reported
        self._leave_if_closed()

    def _leave_if_closed(self) -> None:
        """Leave the channel that this thread has used after `close`, which began anew for it."""
        if self._is_closed:
            self._channel.close()

    def _run(self, request: RelayRequest) -> InterchangeProcess:
        try:
            argv = self._channel.command(self._argv)
        except ChannelError as error:
            raise ConnectionError(str(error)) from error
        return run_relay(argv, request, self.log_file)
