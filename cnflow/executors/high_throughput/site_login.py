"""Login at a site that asks the user: within `load`, before the script goes on and prints lines of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.config.interchange_place import SiteAddress
from cnflow.config.registry import backend_of

if TYPE_CHECKING:
    from cnflow.config import ProviderSettings
    from cnflow.interfaces.channel import Channel


class SiteLogin:
    """The login of one executor's site; backends of equal settings, such as the provider's, share it.

    Args:
        provider: settings of the provider.
    """

    def __init__(self, provider: ProviderSettings) -> None:
        site = provider.site()
        self._channel_settings = site.channel if isinstance(site, SiteAddress) else None
        self._channel: Channel | None = None

    def begin(self) -> None:
        """Log in if that asks the user; other logins are made while the script goes on.

        Raises:
            ChannelError: the machine cannot be reached, or refuses the user.
        """
        settings = self._channel_settings
        if settings is not None and settings.asks_user:
            self._channel = backend_of(settings)(settings)
            try:
                self._channel.open()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Leave the connection to the others that share it."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
