"""Objects of a Helm release that the server of its pools reads and fills in; see `cnflow.config.worker_pool.Release`.

::

    Secret keys_secret ───────── server.key, POOL.key: drawn at the first start, the same ever after
    Secret of a Deployment ───── settings: what the managers of its pods read
    ConfigMap pools_config_map ─ pool.json, for clients
    ConfigMap clients_config_map NAME.key ──> mirrored into the folder that interchanges read

The chart makes all of them, empty: the server needs no right to create any, and ``helm uninstall`` removes them.
"""

from __future__ import annotations

import base64
import logging
import threading
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError, ConfigurationError
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.cluster import MERGE_PATCH, Cluster, ClusterAddress
from cnflow.kubernetes_api.errors import CONFLICT, ApiError
from cnflow.model.pool_files import DIRECTORY_FILE
from cnflow.model.pool_settings import KEY_SUFFIX
from cnflow.wire.keys import KeyPair
from cnflow.wire.sockets import new_key_pair
from cnflow.worker_pool.keys import is_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cnflow.config.worker_pool import Release
    from cnflow.model.manager_settings import ManagerSettings
    from cnflow.model.pool_files import PoolDirectory

logger = logging.getLogger(__name__)

SETTINGS_ENTRY = "settings"
"""Entry of a Deployment's Secret that its managers read."""

_SERVER = "server"
_PERIOD = 2.0
"""Seconds between two looks at the keys of clients: so long does a revoked key work."""


class ReleaseObjects:
    """Reads and writes the objects of one release.

    Args:
        cluster: connected.
        release: names of the objects.
    """

    def __init__(self, cluster: Cluster, release: Release) -> None:
        self.cluster = cluster
        self.release = release
        self.namespace = release.namespace or cluster.namespace

    @classmethod
    def connect(cls, release: Release) -> ReleaseObjects:
        """Connect with the cluster of this pod, or of the usual kubeconfig.

        Raises:
            ClusterRejectedError: there is none.
        """
        return cls(Cluster.connect(ClusterAddress(namespace=release.namespace)), release)

    def server_keys(self) -> KeyPair:
        """Keys of the server; drawn at the first start.

        Raises:
            BlockError: the API server refuses, or does not answer.
            ConfigurationError: the Secret does not exist.
        """
        return self._key_pair(_SERVER)

    def manager_keys(self, pool: str) -> KeyPair:
        """Keys that the managers of a pool's Deployment share; raises as `server_keys`."""
        return self._key_pair(f"managers-{pool}")

    def _key_pair(self, entry: str) -> KeyPair:
        while True:
            secret = self._require(paths.secrets(self.namespace, self.release.keys_secret), "Secret")
            held = (secret.get("data") or {}).get(f"{entry}{KEY_SUFFIX}")
            if held:
                return KeyPair(*base64.b64decode(held).decode().split())
            text = " ".join(new_key_pair())
            version = {"resourceVersion": secret["metadata"]["resourceVersion"]}  # another server may draw them, too
            patch = {"metadata": version, "data": {f"{entry}{KEY_SUFFIX}": _encoded(text.encode())}}
            try:
                self._patch(paths.secrets(self.namespace, self.release.keys_secret), patch)
            except ApiError as error:
                if error.status != CONFLICT:
                    raise

    def write_settings(self, secret: str, settings: ManagerSettings) -> None:
        """Write the settings of a Deployment's managers; raises as `server_keys`."""
        path = paths.secrets(self.namespace, secret)
        content = _encoded(settings.to_json())
        held = self._require(path, "Secret").get("data") or {}
        if held.get(SETTINGS_ENTRY) != content:
            self._patch(path, {"data": {SETTINGS_ENTRY: content}})

    def write_directory(self, directory: PoolDirectory) -> None:
        """Write ``pool.json``; raises as `server_keys`."""
        path = paths.config_maps(self.namespace, self.release.pools_config_map)
        self._require(path, "ConfigMap")
        self._patch(path, {"data": {DIRECTORY_FILE: directory.to_json().decode()}})

    def client_keys(self) -> dict[str, str]:
        """Public keys of clients by their names; raises as `server_keys`."""
        path = paths.config_maps(self.namespace, self.release.clients_config_map)
        data: Mapping[str, str] = self._require(path, "ConfigMap").get("data") or {}
        return {
            entry.removesuffix(KEY_SUFFIX): key
            for entry, key in data.items()
            if entry.endswith(KEY_SUFFIX) and is_name(entry.removesuffix(KEY_SUFFIX))
        }

    def mirror_client_keys(self, folder: Path) -> ClientKeysMirror:
        """Make what keeps *folder* like the ConfigMap of clients' keys; not started."""
        return ClientKeysMirror(self, folder)

    def _require(self, path: str, kind: str) -> Any:  # noqa: ANN401 - JSON
        found = self.cluster.get(path)
        if found is None:
            raise ConfigurationError(
                f"The {kind} {path.rpartition('/')[2]!r} does not exist in the namespace {self.namespace!r}. The Helm "
                "chart makes it: install the release, or correct release= in the configuration of the server."
            )
        return found

    def _patch(self, path: str, patch: object) -> None:
        self.cluster.request("PATCH", path, body=patch, content_type=MERGE_PATCH)


class ClientKeysMirror:
    """Keeps a folder with the public keys of clients like the ConfigMap of a release, in a thread.

    Args:
        objects: of the release.
        folder: of the keys.
    """

    def __init__(self, objects: ReleaseObjects, folder: Path) -> None:
        self._objects = objects
        self._folder = folder
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="cnflow-client-keys", daemon=True)

    def start(self) -> None:
        """Begin; the keys of this moment are there on return.

        Raises:
            BlockError, ConfigurationError: as `ReleaseObjects.server_keys`.
        """
        self.mirror()
        self._thread.start()

    def close(self) -> None:
        """End the thread, if it was started."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def mirror(self) -> None:
        """Write keys that are new or different, and remove those that are gone; raises as `start`."""
        wanted = {f"{name}{KEY_SUFFIX}": key for name, key in self._objects.client_keys().items()}
        for file in self._folder.glob(f"*{KEY_SUFFIX}"):
            if file.name not in wanted:
                logger.info("the key of client %s is revoked", file.stem)
                file.unlink()
        for name, key in wanted.items():
            file = self._folder / name
            if not file.exists() or file.read_text(encoding="utf-8").strip() != key.strip():
                part = file.with_suffix(".part")
                part.write_text(f"{key.strip()}\n", encoding="utf-8")
                part.replace(file)

    def _serve(self) -> None:
        while not self._ending.wait(_PERIOD):
            try:
                self.mirror()
            except (BlockError, ConfigurationError) as error:  # keys stay as they are until the API server answers
                logger.warning("the keys of clients cannot be read: %s", error)
            except Exception:  # such as a full disk: a thread that ends would leave revoked keys in force
                logger.exception("the keys of clients cannot be written to %s", self._folder)


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
