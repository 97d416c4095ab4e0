"""Settings of standing pools of workers, which serve several drivers: the configuration of ``cnflow pool``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, field_validator, model_validator

from cnflow.config.base import Settings
from cnflow.config.config import parse_strategy
from cnflow.config.executors import LABEL, HighThroughputExecutor
from cnflow.config.files import read_settings
from cnflow.config.quantities import Bytes, Duration
from cnflow.config.tables import refuse_table

if TYPE_CHECKING:
    import os

Port = Annotated[int, Field(ge=1, le=65535)]


class Deployment(Settings):
    """Deployment of a Kubernetes cluster whose pods are the blocks of a pool; the Helm chart writes it.

    The server changes its number of pods alone. Each pod runs a manager with the settings of `secret`, which the server
    fills in.
    """

    name: str = Field(min_length=1)
    """Name of the Deployment, in the namespace of the server."""

    secret: str = Field(min_length=1)
    """Name of an existing Secret whose entry ``settings`` the pods' managers read."""

    scales: bool = True
    """Change its number of pods with the tasks; False leaves that alone."""

    cores: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """CPUs of a pod, from which its workers are expected until the first one has connected."""

    init_replicas: int = Field(default=0, ge=0)
    """Pods that there should be when the server starts; fewer follow after ``max_idletime``."""

    min_replicas: int = Field(default=0, ge=0)
    """Pods that stay even when they are idle."""

    max_replicas: int = Field(default=1, ge=0)
    """Limit of pods at one time."""

    warm_replicas: int = Field(default=0, ge=0)
    """Pods kept ready beyond those that the tasks take."""

    parallelism: float = Field(default=1.0, ge=0.0, le=1.0)
    """Ratio of wanted slots to waiting and running tasks, as that of a provider."""

    @model_validator(mode="after")
    def _replicas_are_in_order(self) -> Deployment:
        names = ("min_replicas", "init_replicas", "warm_replicas")
        if more := [f"{name}={getattr(self, name)}" for name in names if getattr(self, name) > self.max_replicas]:
            raise ValueError(f"{' and '.join(more)} may not be more than max_replicas={self.max_replicas}")
        return self


class WorkerPool(HighThroughputExecutor):
    """One pool: workers of one image behind an interchange of its own. Its options are those of an executor.

    ``provider`` starts its blocks; in a release of the Helm chart ``deployment`` does instead.
    """

    label: str = Field(default="main", pattern=LABEL, validation_alias=AliasChoices("label", "name"))
    """Name of the pool, also written ``name``: unique within a server, names its folder of logs."""

    clients_port: Port | None = None
    """TCP port for drivers; None takes any free one, or the one that the server before had."""

    managers_port: Port | None = None
    """TCP port for managers; None takes any free one, as ``worker_port_range`` allows."""

    max_idletime: Annotated[Duration, Field(ge=0.0)] | None = None
    """Seconds without a task after which a block, or a pod, of this pool is not needed; None is that of the server."""

    deployment: Deployment | None = None
    """Deployment of a Kubernetes cluster that is scaled instead of a provider's blocks."""

    @model_validator(mode="after")
    def _pods_have_an_address(self) -> WorkerPool:
        if self.deployment is not None and not (self.address and self.managers_port):
            raise ValueError(
                f"pool {self.label!r} with a deployment needs address= (the name of the Service) and managers_port=, "
                "under which its pods find the interchange again after a restart"
            )
        return self


class Release(Settings):
    """Objects of a Helm release that the server reads and fills in; all exist when it starts."""

    name: str = Field(min_length=1)
    """Name of the release's objects, such as ``RELEASE-cnflow``; begins the names of its clients' Secrets."""

    namespace: str | None = None
    """Namespace of its objects; None is that of the server's pod."""

    keys_secret: str = Field(min_length=1)
    """Secret with the server's own keys, which it draws at its first start."""

    clients_config_map: str = Field(min_length=1)
    """ConfigMap with an entry ``NAME.key`` for each client: its public key; ``cnflow pool key`` adds one."""

    pools_config_map: str = Field(min_length=1)
    """ConfigMap whose entry ``pool.json`` clients read: ports, images and public keys of the pools."""


class PoolServer(Settings):
    """Options of ``cnflow pool start`` and ``cnflow pool serve``: pools, and how clients and probes reach them."""

    pools: list[WorkerPool] = Field(default_factory=lambda: [WorkerPool()])
    """Pools of the server; in a file, tables ``[[pools]]``."""

    listen: str = "127.0.0.1"
    """Address at which drivers connect: loopback, which ``ssh://`` reaches, or ``0.0.0.0`` for ``tcp://``. A driver
    needs a key in any case."""

    client_timeout: Duration = Field(default=300.0, gt=0)
    """Seconds without a connection after which a driver is forgotten, with its tasks."""

    strategy: Annotated[
        Literal["none", "simple", "htex_auto_scale"] | Callable[[Any], Any], BeforeValidator(parse_strategy)
    ] = "htex_auto_scale"
    """Rule by which pools follow their tasks; see ``Config.strategy``."""

    max_idletime: Duration = Field(default=120.0, ge=0.0)
    """Seconds without a task after which a block, or a pod, is not needed."""

    http_listen: str = "127.0.0.1"
    """Address of ``http_port``; ``0.0.0.0`` where a kubelet or Prometheus asks."""

    http_port: Port | None = None
    """TCP port for ``/healthz``, ``/readyz`` and ``/metrics``; None opens none."""

    release: Release | None = None
    """Release of the Helm chart that the server belongs to; None for one that was started by hand."""

    log_size: Bytes | None = Field(default=100_000_000, ge=1_000_000)
    """Bytes of each log and its older part; None is no limit."""

    @field_validator("pools", mode="before")
    @classmethod
    def _pools_are_listed(cls, value: object) -> object:
        return refuse_table(value, "pools", "pools")

    @model_validator(mode="after")
    def _names_and_ports_are_unique(self) -> PoolServer:
        for what in ("label", "clients_port", "managers_port"):
            taken = [getattr(pool, what) for pool in self.pools if getattr(pool, what) is not None]
            if twice := sorted({str(each) for each in taken if taken.count(each) > 1}):
                raise ValueError(f"several pools have {what}={', '.join(twice)}")
        if not self.pools:
            raise ValueError("pools is empty; write at least one, such as [[pools]] with name = 'main'")
        if any(pool.deployment for pool in self.pools) and self.release is None:
            raise ValueError("a pool with a deployment needs release=, the objects of the Helm release")
        return self


def load_pool_server(path: str | os.PathLike[str]) -> PoolServer:
    """Read the settings of a pool server from a file, as `cnflow.config.load_config` reads a Config.

    Raises:
        ConfigurationError: the file cannot be read, or holds no such settings; the message begins with the path.
        MissingExtraError: its format needs an extra.
    """
    return read_settings(path, PoolServer)
