"""Makes the configuration of a site from its facts; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnflow.config.channels import LocalChannel, SSHChannel, SSHInteractiveLoginChannel
from cnflow.config.config import Config
from cnflow.config.executors import HighThroughputExecutor
from cnflow.config.registry import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config.channels import ChannelSettings
    from cnflow.config.executors import ExecutorSettings


WALLTIME = "00:30:00"
"""Of a block where the user gives none: several sites refuse jobs without one."""


@dataclass(frozen=True)
class Site:
    """Facts of a site that do not depend on its user."""

    name: str
    """Label of the executor."""

    login: str
    """Host name of the login nodes."""

    provider: str
    """Kind of the provider."""

    asks: bool = True
    """The login asks for a second factor."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Options of the provider, beside `WALLTIME`."""

    executor: Mapping[str, Any] = field(default_factory=dict)
    """Options of the executor."""

    def config(self, options: Mapping[str, Any], image: str, login: str | None) -> Config:
        """Configuration with *options* of the provider in the place of the site's.

        Args:
            options: of the user; one that is None is left to the scheduler.
            image: for all tasks; empty runs them on the bare nodes, and images of apps too.
            login: name of the user at the site, which is reached by ssh; None runs the script on a login node.
        """
        common = {"walltime": WALLTIME} if self.login else {}
        kept = {name: value for name, value in {**common, **self.defaults, **options}.items() if value is not None}
        kept.setdefault("channel", self._channel(login))
        kind = PROVIDERS.find(self.provider)
        chosen = {"image": image} if image else {}
        executor: ExecutorSettings = HighThroughputExecutor(
            label=self.name, provider=kind(**kept), **{**self.executor, **chosen}
        )
        return Config(executors=[executor])

    def _channel(self, login: str | None) -> ChannelSettings:
        if login is None:
            return LocalChannel()
        channel = SSHInteractiveLoginChannel if self.asks else SSHChannel
        return channel(host=self.login, user=login)
