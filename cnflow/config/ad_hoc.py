"""Settings of the provider of blocks on machines that no scheduler manages: a list of hosts, reached by channels."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from cnflow.config.channels import ChannelSettings
from cnflow.config.launchers import AnyLauncher, SimpleLauncher
from cnflow.config.providers import ProviderSettings
from cnflow.config.quantities import Duration
from cnflow.config.registry import CHANNELS
from cnflow.config.variables import Variables
from cnflow.model.traits import CapsuleVia, Delivery, LogsVia, Traits
from cnflow.units import Seconds


def _host(value: object) -> object:
    """Settings of a channel, from a host name, or a table of a file."""
    return CHANNELS.parse({"kind": "ssh", "host": value} if isinstance(value, str) else value)


Host = Annotated[SerializeAsAny[ChannelSettings], BeforeValidator(_host)]


class AdHocProvider(ProviderSettings):
    """Blocks are processes on hosts of a list, one block on each, started over SSH; no scheduler is involved.

    A host needs an sshd, no Python. One that does not answer, has no room on its disk, or whose block failed is left
    alone for a while, and others are used.
    """

    backend: ClassVar[str] = "cnflow.providers.ad_hoc.provider:AdHocBackend"
    max_nodes: ClassVar[int | None] = 1
    kind: Literal["ad_hoc"] = "ad_hoc"
    hosts: list[Host] = Field(min_length=1)
    """The machines: host names, or channels such as ``SSHChannel(host="n1", user="ada")``. By default `max_blocks` is
    their number."""

    site_dir: str = "~/.cnflow"
    """Folder on each host, which they may share. cnflow keeps its own code, settings of blocks and their output there;
    ``~`` and variables are those of the host."""

    python: str | None = None
    """Interpreter on the hosts that runs workers; None is the driver's own where a channel is local, else a host's
    ``python3`` if it is one of 3.8 or newer, else one that cnflow carries along."""

    environment: Variables = Field(default_factory=dict)
    """Variables added to the workers' environment."""

    worker_init: str = ""
    """Shell commands that run before the workers, in the same shell, such as ``source``."""

    launcher: AnyLauncher = Field(default_factory=SimpleLauncher)
    """Wraps the command of a host's manager, as ``WrappedLauncher(prepend="nice")`` does."""

    cmd_timeout: Duration = Field(default=60.0, gt=0)
    """Seconds within which a command on a host must answer."""

    poll_period: Duration = Field(default=5.0, ge=0.1)
    """Seconds between two looks at the hosts that have a block."""

    min_free_space: float = Field(default=0.1, ge=0)
    """GiB that `site_dir` must have left for a block to be started on a host."""

    retry_after: Duration = Field(default=30.0, gt=0)
    """Seconds for which a host is left alone after a failure; after each further one twice as long, 10 minutes at most.
    """

    def traits(self) -> Traits:
        """Traits of processes on other machines."""
        return Traits(
            delivery=Delivery.PUT_FILE,
            capsule=CapsuleVia.SSH_COPY,
            logs=LogsVia.ON_REQUEST,
            poll_period=Seconds(self.poll_period),
            submit_at_once=len(self.hosts),
        )

    @field_validator("hosts")
    @classmethod
    def _hosts_differ(cls, hosts: list[ChannelSettings]) -> list[ChannelSettings]:
        for number, host in enumerate(hosts):
            if host in hosts[:number]:
                raise ValueError(f"{host!r} is listed twice; a host has one block, whose workers use all its cores")
        return hosts

    @model_validator(mode="before")
    @classmethod
    def _blocks_are_hosts(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the user passed
        if isinstance(data, dict) and "max_blocks" not in data and isinstance(data.get("hosts"), list):
            return {**data, "max_blocks": len(data["hosts"])}
        return data

    @model_validator(mode="after")
    def _hosts_are_enough(self) -> AdHocProvider:
        if self.max_blocks > len(self.hosts):
            raise ValueError(
                f"max_blocks={self.max_blocks} is more than the number of hosts, {len(self.hosts)}; each has one block"
            )
        return self
