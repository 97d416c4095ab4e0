"""Reads what a pool server publishes, and finds the way to its ports: by TCP, ssh, or the API server of a cluster.

::

    tcp://  ──> key file ─────────────────────────> PoolAccess(pools, key), no tunnel
    ssh://  ──> ssh HOST cat FOLDER/pool.json ────> ..., ssh -W HOST:PORT
    kubernetes:// ──> ConfigMap, Secret ──────────> ..., port-forward; none within the cluster
"""

from __future__ import annotations

import base64
import getpass
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from cnflow.config.existing_pool import ReleaseAddress, SshAddress, TcpAddress, parse_address
from cnflow.errors import BlockError, BlockRejectedError, ConfigurationError, MissingExtraError
from cnflow.model.pool_files import DIRECTORY_FILE, ClientKey, PoolDirectory
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.config.existing_pool import ExistingPool
    from cnflow.model.pool_files import PoolAddress

KEY_ENTRY = "key.json"
"""Entry of a client's Secret with its `ClientKey`."""

_SERVER_LABELS = "app.kubernetes.io/component=server"
_MISSING = 255
"""Exit code of ssh that failed itself."""


class PoolAccess(NamedTuple):
    """A pool server, as one driver reaches it."""

    pools: Sequence[PoolAddress]
    key: ClientKey
    tunnel: tuple[str, ...] = ()
    """Words of a command that leads to a port of the server, with ``{host}`` and ``{port}``; empty connects by TCP."""


def read_access(settings: ExistingPool) -> PoolAccess:
    """Read the pools of the server and the driver's key.

    Raises:
        BlockError: the server is not reached.
        BlockRejectedError, ConfigurationError: there is no such server, or the key cannot be read.
    """
    address = parse_address(settings.address)
    if isinstance(address, TcpAddress):
        return _by_tcp(address, settings)
    if isinstance(address, SshAddress):
        return _by_ssh(address, settings)
    return _by_cluster(address, settings)


def _by_tcp(address: TcpAddress, settings: ExistingPool) -> PoolAccess:
    key = _key_of_file(settings)
    if not key.pools:
        raise ConfigurationError(
            f"The key {settings.key} lists no pool; issue another one by 'cnflow pool key NAME' once the pools run."
        )
    found = pools_at_port(key.pools, address.port, settings.pool)
    if not found:
        listed = ", ".join(f"{pool.name} ({pool.clients_port})" for pool in key.pools)
        raise ConfigurationError(
            f"{settings.address}: the key {settings.key} lists no pool at port {address.port}, but {listed}. Choose "
            "one of these ports; for a port that is forwarded to a pool, name the pool by pool=."
        )
    return PoolAccess([msgspec.structs.replace(pool, host=address.host) for pool in found], key)


def pools_at_port(pools: Sequence[PoolAddress], port: int, name: str | None) -> Sequence[PoolAddress]:
    """Return those of *pools* that *port* leads to; pure.

    A port that no pool has is a way to the pool called *name*, or to the only one: forwarded, or of a later server.
    """
    found = [pool for pool in pools if pool.clients_port == port]
    likely = [] if found else [pool for pool in pools if name is None or pool.name == name]
    return found or [msgspec.structs.replace(pool, clients_port=port) for pool in likely if len(likely) == 1]


def _by_ssh(address: SshAddress, settings: ExistingPool) -> PoolAccess:
    key = _key_of_file(settings)
    file = f"{address.folder}/{DIRECTORY_FILE}"
    ssh = ssh_command(address, settings.ssh_options)
    words = " ".join(shlex.quote(word) for word in ("cat", file))
    try:
        done = subprocess.run(
            [*ssh, address.login, words], capture_output=True, timeout=settings.cmd_timeout, check=False
        )
    except FileNotFoundError as error:
        raise BlockRejectedError(f"{settings.address}: there is no program ssh here.") from error
    except subprocess.TimeoutExpired as error:
        raise BlockError(f"{settings.address}: ssh gave no answer within {settings.cmd_timeout:g} s.") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
        if done.returncode == _MISSING:
            raise BlockError(f"{settings.address}: ssh {address.login} fails: {said}")
        raise BlockRejectedError(
            f"{settings.address}: no pool server has its files there: {said}\n"
            "Name the folder of 'cnflow pool start FOLDER' on that machine."
        )
    pools = _directory(done.stdout, settings.address).pools
    return PoolAccess(pools, key, (*ssh, "-W", "{host}:{port}", address.login))


def ssh_command(address: SshAddress, options: Sequence[str]) -> list[str]:
    """Return the words of ssh before the login, for a command without a terminal; pure."""
    port = ["-p", str(address.port)] if address.port else []
    return ["ssh", *options, "-T", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15", *port]


def _by_cluster(address: ReleaseAddress, settings: ExistingPool) -> PoolAccess:
    with MissingExtraError.for_import("ExistingPool('kubernetes://...')", "kubernetes"):
        from cnflow.kubernetes_api.cluster import Cluster, ClusterAddress  # noqa: PLC0415 - the SDK is an extra, and slow
    place = ClusterAddress(settings.kubeconfig, settings.context, address.namespace)
    cluster = Cluster.connect(place, Seconds(settings.cmd_timeout))
    try:
        published = _config_map(cluster, address)
        name = published["metadata"].get("labels", {}).get("cnflow.org/release", address.release)
        pools = _directory(published["data"][DIRECTORY_FILE].encode(), settings.address).pools
        key = _key_of_file(settings) if settings.key else _key_of_secret(cluster, address, name, settings)
    finally:
        cluster.close()
    selector = f"{_SERVER_LABELS},cnflow.org/release={name}"
    words = (settings.kubeconfig or "", settings.context or "", address.namespace, selector, "{port}")
    tunnel = () if cluster.is_inside else (sys.executable, "-m", "cnflow.kubernetes_api.tunnel", *words)
    return PoolAccess(pools, key, tunnel)


def _config_map(cluster: Any, address: ReleaseAddress) -> Mapping[str, Any]:  # noqa: ANN401 - its module imports the SDK
    from cnflow.kubernetes_api import paths  # noqa: PLC0415 - as above

    path = paths.config_maps(address.namespace)
    for label in ("app.kubernetes.io/instance", "cnflow.org/release"):
        for found in cluster.list_all(path, f"{label}={address.release}").items:
            if DIRECTORY_FILE in (found.get("data") or {}):
                return dict(found)
    raise BlockRejectedError(
        f"kubernetes://{address.namespace}/{address.release}: the namespace has no release of that name with a pool "
        f"that is ready. See: helm list -n {address.namespace}"
    )


def _key_of_secret(cluster: Any, address: ReleaseAddress, name: str, settings: ExistingPool) -> ClientKey:  # noqa: ANN401 - as above
    from cnflow.kubernetes_api import paths  # noqa: PLC0415 - as above

    client = settings.client or re.sub(r"[^a-z0-9.-]+", "-", getpass.getuser().lower()).strip("-.")
    secret = f"{name}-client-{client}"
    found = cluster.get(paths.secrets(address.namespace, secret))
    if found is None or KEY_ENTRY not in found.get("data", {}):
        raise BlockRejectedError(
            f"{settings.address}: there is no Secret {secret!r} with a key for {client!r}. Make one by "
            f"'cnflow pool key {client} {settings.address}', or name a key by key= or client=."
        )
    return _parse_key(base64.b64decode(found["data"][KEY_ENTRY]), f"Secret {secret}")


def _key_of_file(settings: ExistingPool) -> ClientKey:
    if settings.key is None:
        raise ConfigurationError(
            f"ExistingPool({settings.address!r}) needs key=, the file that 'cnflow pool key NAME' writes."
        )
    try:
        return _parse_key(Path(settings.key).read_bytes(), settings.key)
    except OSError as error:
        raise ConfigurationError(f"The key of the pool cannot be read: {error}.") from error


def _parse_key(data: bytes, source: str) -> ClientKey:
    try:
        return ClientKey.from_json(data)
    except msgspec.MsgspecError as error:
        raise ConfigurationError(
            f"{source} holds no key of a pool, as 'cnflow pool key' writes it: {error}."
        ) from error


def _directory(data: bytes, where: str) -> PoolDirectory:
    try:
        return PoolDirectory.from_json(data)
    except msgspec.MsgspecError as error:
        raise BlockRejectedError(
            f"{where}: the list of pools there cannot be read: {error}. Use the same version of cnflow at both ends."
        ) from error
