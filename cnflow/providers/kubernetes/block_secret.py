"""The Secret of a block: the settings of its manager, which hold its keys. Values; no I/O.

::

    POST Secret, owned by the run's object ──> POST Job, whose pods mount it ──> PATCH Secret: owned by the Job
         the kubelet finds it at once               │                               deleted with it
                                                    └── refused ──> DELETE Secret
    a driver that is killed in between leaves a Secret that ends with the run's object
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def secret_for(
    name: str,
    entries: Mapping[str, bytes],
    *,
    owner: Mapping[str, Any] | None = None,
    labels: Mapping[str, str],
    kind: str = "Opaque",
) -> dict[str, Any]:
    """Return the Secret *name*.

    Args:
        name: of the block's Job, too.
        entries: content by key.
        owner: reference to the object of the run; None for a Secret that gets an owner later.
        labels: of the block.
        kind: the Secret's type.
    """
    owned = {} if owner is None else {"ownerReferences": [dict(owner)]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": dict(labels), **owned},
        "type": kind,
        "immutable": True,
        "data": {key: base64.b64encode(content).decode() for key, content in entries.items()},
    }


def owner_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the strategic merge patch by which an object that *old* owns is owned by *new*."""
    return {"metadata": {"ownerReferences": [dict(new), {"$patch": "delete", "uid": old["uid"]}]}}


def owner_of(made: Mapping[str, Any]) -> dict[str, str]:
    """Return the reference by which *made*, an object as the API server returns it, owns others."""
    return {
        "apiVersion": made["apiVersion"],
        "kind": made["kind"],
        "name": made["metadata"]["name"],
        "uid": made["metadata"]["uid"],
    }
