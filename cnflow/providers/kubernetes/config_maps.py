"""cnflow's code in a namespace, without a registry: immutable ConfigMaps by content, shared by all pods of all runs.

::

    archive of the capsule ──cut──> cnflow-code-KIND-DIGEST-00, -01, ...       one part each, less than 1 MiB
                                          │
    ensure(code, owner):  PATCH: one more owner ──┬── 200: compared with what it must hold
                                                  └── 404: POST ── 409, another driver was faster: PATCH again

Their owners are the objects of the runs that use them, by which the cluster counts references: the garbage collector
deletes a ConfigMap when the last run has gone. See
https://kubernetes.io/docs/concepts/architecture/garbage-collection/.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.capsule.archive import cut
from cnflow.errors import BlockRejectedError
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import CONFLICT, NOT_FOUND, ApiError
from cnflow.providers.kubernetes.names import MANAGED_BY, MANAGER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.kubernetes_api.cluster import Cluster

_LIMIT = 1_000_000
"""Bytes of a part. The API server takes 1 MiB of data in a ConfigMap."""

_AT_ONCE = 4

CODE_NAME = "cnflow-code-"
"""Start of the names."""

CAPSULE_LABEL = "cnflow.org/capsule"

STRATEGIC_PATCH = "application/strategic-merge-patch+json"


class Code(NamedTuple):
    """Content of the ConfigMaps of one capsule."""

    tag: str
    """Of the capsule."""

    parts: Mapping[str, bytes]
    """By file name: pieces of the archive, and the program that unpacks them where the image cannot."""

    @classmethod
    def of(cls, tag: str, archive: bytes, programs: Mapping[str, bytes] | None = None) -> Code:
        """Cut the *archive* of a capsule; *programs* come with it."""
        return cls(tag, {**cut(archive, _LIMIT), **(programs or {})})

    def names(self) -> dict[str, str]:
        """Return the name of the ConfigMap of each part.

        The same capsule may be compressed to other bytes on another machine, so that names have a digest of these.
        """
        digest = hashlib.sha256()
        for content in self.parts.values():
            digest.update(content)
        stem = f"{CODE_NAME}{self.tag.lower().replace('_', '-')}-{digest.hexdigest()[:8]}"
        return {part: f"{stem}-{number:02}" for number, part in enumerate(self.parts)}


def config_map_for(name: str, part: str, content: bytes, tag: str, owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ConfigMap with one part of the capsule *tag*."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "labels": {MANAGED_BY: MANAGER, CAPSULE_LABEL: tag},
            "ownerReferences": [dict(owner)],
        },
        "immutable": True,
        "binaryData": {part: base64.b64encode(content).decode()},
    }


class ConfigMaps:
    """The ConfigMaps of cnflow's code in one namespace. Safe from any thread.

    Args:
        cluster: that has them.
        namespace: of the pods.
        patched: lays the user's changes over a ConfigMap.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        patched: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda made: made,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._patched = patched
        self._lock = threading.Lock()
        self._ensured: dict[tuple[str, str], dict[str, str]] = {}

    def ensure(self, code: Code, owner: Mapping[str, Any]) -> Mapping[str, str]:
        """Have the ConfigMaps of *code*, which live as long as *owner*; return the name of that of each part.

        Raises:
            BlockRejectedError: one of that name has another content, or the cluster takes none.
            ClusterError: the cluster does not answer.
        """
        with self._lock:
            key = (code.tag, str(owner["uid"]))
            if key not in self._ensured:
                names = code.names()
                made = [config_map_for(name, part, code.parts[part], code.tag, owner) for part, name in names.items()]
                with ThreadPoolExecutor(_AT_ONCE) as threads:
                    list(threads.map(lambda each: self._ensure(self._patched(each)), made))
                self._ensured[key] = names
            return self._ensured[key]

    def forget(self) -> None:
        """Look again at the next `ensure`: a ConfigMap was missing, as somebody has deleted it."""
        with self._lock:
            self._ensured.clear()

    def _ensure(self, wanted: Mapping[str, Any]) -> None:
        for _ in range(3):
            if self._share(wanted):
                return
            try:
                self._cluster.request("POST", paths.config_maps(self._namespace), body=wanted)
            except ApiError as error:
                if error.status != CONFLICT:
                    raise
            else:
                return
        raise BlockRejectedError(f"{_about(wanted, self._namespace)} is deleted again and again by somebody else.")

    def _share(self, wanted: Mapping[str, Any]) -> bool:
        """Make the run an owner of a ConfigMap that is there; return False if it is not."""
        name = str(wanted["metadata"]["name"])
        patch = {"metadata": {"ownerReferences": wanted["metadata"]["ownerReferences"]}}
        try:
            found = self._cluster.request(
                "PATCH", paths.config_maps(self._namespace, name), body=patch, content_type=STRATEGIC_PATCH
            )
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            return False
        if found["metadata"].get("deletionTimestamp"):
            return False
        if found.get("binaryData") != wanted["binaryData"] or not found.get("immutable"):
            raise BlockRejectedError(
                f"{_about(wanted, self._namespace)} has another content than cnflow gave it. Somebody has made or "
                f"changed it: find out who. To have it made anew: kubectl delete -n {self._namespace} configmap {name}"
            )
        return True


def _about(wanted: Mapping[str, Any], namespace: str) -> str:
    return f"ConfigMap {wanted['metadata']['name']!r} in namespace {namespace!r}"
