"""Keys of a Helm release's clients: issued and revoked with the rights of the user who does.

::

    issue(NAME) ──> ConfigMap RELEASE-clients: NAME.key, public ──> the server's folder, within seconds
               └──> Secret RELEASE-client-NAME: key.json, owned by that ConfigMap, so that helm uninstall removes it
    revoke(NAME) ─> both are removed
"""

from __future__ import annotations

import base64
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from cnflow.errors import ConfigurationError
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.cluster import MERGE_PATCH, Cluster, ClusterAddress
from cnflow.kubernetes_api.errors import CONFLICT, NOT_FOUND, ApiError
from cnflow.model.pool_files import DIRECTORY_FILE, ClientKey, PoolDirectory
from cnflow.model.pool_settings import KEY_SUFFIX
from cnflow.worker_pool.keys import check_name, new_client_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

logger = logging.getLogger(__name__)

SCHEME = "kubernetes://"
KEY_ENTRY = "key.json"
"""Entry of a client's Secret."""

START_TIMEOUT = 60.0
"""Seconds for the server of a release that was just installed to write its pools: its pod may have an image to pull."""


class ReleaseName(NamedTuple):
    """A release, as a user names it: ``kubernetes://NAMESPACE/RELEASE``."""

    namespace: str
    release: str

    @classmethod
    def of(cls, address: str) -> ReleaseName:
        """Parse *address*.

        Raises:
            ConfigurationError: it names no release.
        """
        namespace, _, release = address.removeprefix(SCHEME).partition("/")
        if not (namespace and release) or "/" in release:
            raise ConfigurationError(f"{address!r} names no release. Write {SCHEME}NAMESPACE/RELEASE.")
        return cls(namespace, release)

    @property
    def clients(self) -> str:
        """ConfigMap of the clients' public keys."""
        return f"{self.release}-clients"

    @property
    def pools(self) -> str:
        """ConfigMap of ``pool.json``."""
        return f"{self.release}-pools"

    def secret(self, client: str) -> str:
        """Secret of a client's key."""
        return f"{self.release}-client-{client}"


def issue(address: str, name: str) -> ClientKey:
    """Issue a key for the client *name* of the release at *address*, and write its objects.

    Raises:
        ConfigurationError: there is no such release, its server has not started within `START_TIMEOUT`, or the client
            has a key.
        BlockError: the API server refuses, or does not answer.
    """
    check_name(name)
    release = ReleaseName.of(address)
    with _Objects(release) as objects:
        clients = objects.config_map(release.clients)
        if f"{name}{KEY_SUFFIX}" in (clients.get("data") or {}):
            raise ConfigurationError(
                f"The client {name!r} has a key already, in the Secret {release.secret(name)!r}. Choose another name, "
                f"or revoke that key first by 'cnflow pool key {name} {address} --revoke'."
            )
        directory = _directory(objects, address)
        key = new_client_key(name, directory.pools[0].server_key, directory.pools)
        objects.create_secret(client_secret(release, key, clients["metadata"]["uid"]))
        objects.patch_clients({f"{name}{KEY_SUFFIX}": key.public})
    return key


def revoke(address: str, name: str) -> None:
    """Revoke the key of the client *name*; raises as `issue`."""
    check_name(name)
    release = ReleaseName.of(address)
    with _Objects(release) as objects:
        held = objects.config_map(release.clients).get("data") or {}
        if f"{name}{KEY_SUFFIX}" not in held:
            names = ", ".join(sorted(entry.removesuffix(KEY_SUFFIX) for entry in held)) or "none"
            raise ConfigurationError(f"No client is called {name!r}. Clients with a key: {names}.")
        objects.patch_clients({f"{name}{KEY_SUFFIX}": None})
        objects.delete_secret(release.secret(name))


def client_secret(release: ReleaseName, key: ClientKey, owner: str) -> dict[str, Any]:
    """Return the Secret of a client, owned by the ConfigMap of the clients' keys, whose uid is *owner*; pure."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": release.secret(key.name),
            "labels": {"app.kubernetes.io/managed-by": "cnflow", "cnflow.org/release": release.release},
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": release.clients, "uid": owner}],
        },
        "data": {KEY_ENTRY: base64.b64encode(key.to_json()).decode()},
    }


def _directory(objects: _Objects, address: str) -> PoolDirectory:
    """Return the pools of a release, once its server has written them: the chart is installed without ``--wait``."""
    release = ReleaseName.of(address)
    end = time.monotonic() + START_TIMEOUT
    is_told = False
    while True:
        directory = _parse(objects.config_map(release.pools))
        if directory.pools:
            return directory
        if time.monotonic() >= end:
            raise ConfigurationError(
                f"The server of {address} has not written its pools within {START_TIMEOUT:.0f} s. Look at it by "
                f"kubectl logs deployment/{release.release}-server -n {release.namespace}, and give this command again."
            )
        if not is_told:
            logger.warning("waiting for the server of %s to start", address)
            is_told = True
        time.sleep(1)


def _parse(config_map: Mapping[str, Any]) -> PoolDirectory:
    content = (config_map.get("data") or {}).get(DIRECTORY_FILE, "")
    try:
        return PoolDirectory.from_json(content.encode())
    except msgspec.MsgspecError:
        return PoolDirectory()


class _Objects:
    """Objects of one release, within a ``with`` block."""

    def __init__(self, release: ReleaseName) -> None:
        self._release = release
        self._cluster = Cluster.connect(ClusterAddress(namespace=release.namespace))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.close()

    def config_map(self, name: str) -> Mapping[str, Any]:
        """Return the ConfigMap *name*.

        Raises:
            ConfigurationError: it does not exist.
        """
        namespace, release = self._release
        found: Mapping[str, Any] | None = self._cluster.get(paths.config_maps(namespace, name))
        if found is None:
            raise ConfigurationError(
                f"The namespace {namespace!r} has no ConfigMap {name!r}, so that no release {release!r} with pools is "
                f"there. See 'helm list -n {namespace}'."
            )
        return found

    def create_secret(self, secret: Mapping[str, Any]) -> None:
        """Create *secret* in the release's namespace, in place of one whose public half was never written."""
        path = paths.secrets(self._release.namespace)
        try:
            self._cluster.request("POST", path, body=secret)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
            self.delete_secret(secret["metadata"]["name"])
            self._cluster.request("POST", path, body=secret)

    def delete_secret(self, name: str) -> None:
        """Delete a Secret that may be gone."""
        try:
            self._cluster.request("DELETE", paths.secrets(self._release.namespace, name))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise

    def patch_clients(self, data: Mapping[str, str | None]) -> None:
        """Set public keys, or remove those with None."""
        path = paths.config_maps(self._release.namespace, self._release.clients)
        self._cluster.request("PATCH", path, body={"data": data}, content_type=MERGE_PATCH)
