"""Settings of a pool of workers that exists already, and serves several drivers: its address and the driver's key.

::

    tcp://HOST:PORT ─────────────────> the pool of that port, as the key lists it
    ssh://USER@HOST/FOLDER ──────────> FOLDER/pool.json there; tunnels through that login
    kubernetes://NAMESPACE/RELEASE ──> ConfigMap of the Helm release; tunnels through the API server, unless this
                                       driver runs in the cluster

`parse_address` and `choose_pool` are pure; `cnflow.providers.existing_pool` reads the lists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from pydantic import Field, PrivateAttr, field_validator, model_validator

from cnflow.config.paths import PathText
from cnflow.config.providers import ProviderSettings
from cnflow.config.quantities import Duration
from cnflow.errors import ConfigurationError, ImageNotFoundError
from cnflow.model.traits import CapsuleVia, Delivery, LogsVia, Traits
from cnflow.model.visible_files import VisibleFiles
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cnflow.model.image import Image
    from cnflow.model.pool_files import PoolAddress

SCHEMES = ("kubernetes", "ssh", "tcp")

_FORMS = "tcp://HOST:PORT, ssh://[USER@]HOST[:PORT]/FOLDER or kubernetes://NAMESPACE/RELEASE"
_OPTIONS_OF_BLOCKS = (
    *("init_blocks", "min_blocks", "warm_blocks", "max_blocks", "nodes_per_block", "parallelism"),
    *("startup_timeout", "walltime"),
)
_OPTIONS_OF_WORKERS = frozenset(
    {
        *("max_workers", "cores_per_worker", "mem_per_worker", "available_accelerators", "cpu_affinity", "fresh"),
        *("prefetch", "drain_period", "grace_period", "address", "way", "interchange", "interchange_command"),
        *("worker_port_range", "encrypted", "working_dir"),
    }
)
"""Options of an executor that concern the workers, or their interchange."""


class TcpAddress(NamedTuple):
    """Port of a pool for its clients."""

    host: str
    port: int


class SshAddress(NamedTuple):
    """Folder of a pool server on a machine that ssh reaches."""

    login: str
    """``host`` or ``user@host``."""

    port: int | None
    folder: str
    """Absolute, or relative to the home folder there where the address has ``/~/``."""


class ReleaseAddress(NamedTuple):
    """Helm release of a cluster."""

    namespace: str
    release: str


PoolServerAddress = TcpAddress | SshAddress | ReleaseAddress


class ExistingPool(ProviderSettings):
    """Workers of a standing pool, which ``cnflow pool start`` or the Helm chart has started; several drivers share it.

    An executor without ``image=`` uses the pool without one, or the only pool; apps with ``image=`` use the pool of
    that image. See the page "A shared pool with Helm".
    """

    backend: ClassVar[str] = "cnflow.providers.existing_pool.provider:ExistingPoolBackend"
    kind: Literal["existing_pool"] = "existing_pool"
    address: str
    """``tcp://HOST:PORT``, ``ssh://[USER@]HOST[:PORT]/FOLDER`` or ``kubernetes://NAMESPACE/RELEASE``; the first
    argument."""

    key: PathText | None = None
    """File of the driver's key, which ``cnflow pool key NAME`` has written. None is, for ``kubernetes://``, the Secret
    of the release for `client`."""

    client: str | None = None
    """Name for which ``cnflow pool key`` has made a Secret in the release; None is that of this machine's user."""

    pool: str | None = None
    """Name of the pool, where the server has several that fit."""

    kubeconfig: PathText | None = None
    """File with the cluster's address, as that of `KubernetesProvider`."""

    context: str | None = None
    """Context of the kubeconfig; None is its current one."""

    ssh_options: list[str] = Field(default_factory=list)
    """Options of ssh, such as ``["-J", "gateway"]``; ``~/.ssh/config`` counts, too; nobody is asked for anything."""

    shares_files: bool = False
    """Workers see this machine's files under the same paths."""

    cmd_timeout: Duration = Field(default=30.0, gt=0)
    """Seconds within which the list of pools must be read."""

    _is_bare: bool = PrivateAttr(default=False)
    """Set once the pools are known: the executor's pool runs on bare nodes."""

    def __init__(self, *positional: Any, **data: Any) -> None:  # noqa: ANN401 - pydantic validates each
        if len(positional) == 1:
            data = {"address": positional[0], **data}
            positional = ()
        super().__init__(*positional, **data)

    @model_validator(mode="before")
    @classmethod
    def _blocks_are_the_pools(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the user passed
        if isinstance(data, dict) and (given := [name for name in _OPTIONS_OF_BLOCKS if name in data]):
            raise ValueError(f"{given[0]} is an option of the pool, whose server starts its blocks; leave it out here")
        return data

    @field_validator("address")
    @classmethod
    def _address_can_be_read(cls, value: str) -> str:
        parse_address(value)
        return value

    def traits(self) -> Traits:
        """Traits of workers that somebody else starts."""
        return Traits(
            runs_images=True,
            runs_bare=self._is_bare,
            delivery=Delivery.SECRET,
            capsule=CapsuleVia.IMAGE,
            logs=LogsVia.NONE,
        )

    def of_pool(self, pool: PoolAddress) -> ExistingPool:
        """Settings like these, for an executor that uses *pool*."""
        made = self.model_copy(update={"pool": pool.name})
        made._is_bare = not pool.image  # noqa: SLF001 - of the same class
        return made

    def refuse_options(self, given: Collection[str]) -> None:
        """See `ProviderSettings`: workers and their interchange are the pool's."""
        if wrong := sorted(_OPTIONS_OF_WORKERS & set(given)):
            raise ValueError(
                f"{wrong[0]} is an option of the pool, which has its workers already; set it where the pool is started"
            )

    def visible_files(self, folders: Sequence[str]) -> VisibleFiles | None:  # noqa: ARG002 - pools see none, or all
        """Files of this machine are seen by workers only if the settings say so."""
        if self.shares_files:
            return None
        advice = "Workers of a pool elsewhere see none of this machine's files; set ExistingPool(shares_files=True) "
        return VisibleFiles((), ("/",), f"{advice}if they do.")


def parse_address(address: str) -> PoolServerAddress:
    """Parse the address of a pool server.

    Raises:
        ValueError: it has none of the forms; the message has them.
    """
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"{address!r}: the port is no number up to 65535; write {_FORMS}") from None
    host, path = parts.hostname or "", unquote(parts.path)
    if parts.scheme == "tcp" and host and port and path in {"", "/"}:
        return TcpAddress(host, port)
    login = f"{parts.username}@{host}" if parts.username else host
    if parts.scheme == "ssh" and host and path.strip("/") and not login.startswith("-"):  # an option of ssh
        return SshAddress(login, port, path.removeprefix("/~/"))
    if parts.scheme == "kubernetes" and host and re.fullmatch(r"/[a-z0-9][-a-z0-9.]*", path):
        return ReleaseAddress(host, path[1:])
    if parts.scheme in SCHEMES:
        raise ValueError(f"{address!r} is incomplete; write {_FORMS}")
    raise ValueError(
        f"{address!r} begins with {parts.scheme!r}, which is no way to a pool.{did_you_mean(parts.scheme, SCHEMES)} "
        f"Write {_FORMS}"
    )


def choose_pool(pools: Sequence[PoolAddress], image: Image, name: str | None, where: str) -> PoolAddress | None:
    """Return the pool for tasks that want *image*, or none; None where several pools would do for none.

    Args:
        pools: of the server.
        image: of the executor; an empty one takes the pool without an image, or the only one.
        name: of the pool, if the user chose one.
        where: address of the server, for messages.

    Raises:
        ConfigurationError: no pool has that name.
        ImageNotFoundError: no pool has that image.
    """
    if name is not None:
        named = [pool for pool in pools if pool.name == name]
        if not named:
            names = [pool.name for pool in pools]
            raise ConfigurationError(
                f"The server at {where} has no pool {name!r}.{did_you_mean(name, names)} Its pools: {_listed(pools)}."
            )
        pools = named
    if not image:
        bare = [pool for pool in pools if not pool.image]
        fit = bare or pools
        return fit[0] if len(fit) == 1 or bare else None
    fit = [pool for pool in pools if pool.image == image.reference and image.is_plain]
    if fit:
        return fit[0]
    options = "" if image.is_plain else " Options of an image are those of the pool: name it by its reference alone."
    near = did_you_mean(image.reference, [pool.image for pool in pools if pool.image])
    raise ImageNotFoundError(
        f"No pool of the server at {where} runs image {image.name!r}.{near}{options} Its pools: {_listed(pools)}."
    )


def _listed(pools: Sequence[PoolAddress]) -> str:
    return ", ".join(f"{pool.name} ({pool.image or 'no image'})" for pool in pools) or "none"
