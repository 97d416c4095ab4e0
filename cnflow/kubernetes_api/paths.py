"""Paths of the API's resources, of one object or of all of a namespace. No I/O.

``jobs("team")`` is the list of Jobs in the namespace "team", ``jobs("team", "x")`` one of them, and
``jobs("team", "x", "status")`` its subresource. See https://kubernetes.io/docs/reference/using-api/api-concepts/.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote


class Namespaced(Protocol):
    """Path of a resource that lives in a namespace."""

    def __call__(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Return the path of object *name*, or of the list if that is empty."""


def resource(prefix: str, plural: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """Return the path of a resource; one without *namespace* lives in the cluster, or is listed over all namespaces.

    Args:
        prefix: of the API group: ``/api/v1``, ``/apis/batch/v1``.
        plural: of the resource: ``pods``.
        namespace: of the object.
        name: of the object; empty for the list.
        subresource: of the object, such as ``log``.
    """
    parts = [f"namespaces/{quote(namespace, safe='')}"] if namespace else []
    parts += [plural, *(quote(part, safe="/") for part in (name, subresource) if part)]
    return "/".join([prefix, *parts])


def _namespaced(prefix: str, plural: str) -> Namespaced:
    def path(namespace: str, name: str = "", subresource: str = "") -> str:
        return resource(prefix, plural, namespace, name, subresource)

    return path


_CORE = "/api/v1"

config_maps = _namespaced(_CORE, "configmaps")
events = _namespaced(_CORE, "events")
persistent_volume_claims = _namespaced(_CORE, "persistentvolumeclaims")
pods = _namespaced(_CORE, "pods")
secrets = _namespaced(_CORE, "secrets")
service_accounts = _namespaced(_CORE, "serviceaccounts")
services = _namespaced(_CORE, "services")
jobs = _namespaced("/apis/batch/v1", "jobs")
deployments = _namespaced("/apis/apps/v1", "deployments")
replica_sets = _namespaced("/apis/apps/v1", "replicasets")
leases = _namespaced("/apis/coordination.k8s.io/v1", "leases")
network_policies = _namespaced("/apis/networking.k8s.io/v1", "networkpolicies")
roles = _namespaced("/apis/rbac.authorization.k8s.io/v1", "roles")
role_bindings = _namespaced("/apis/rbac.authorization.k8s.io/v1", "rolebindings")

SELF_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SELF_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
VERSION = "/version"


def namespaces(name: str = "") -> str:
    """Return the path of namespace *name*, or of the list."""
    return resource(_CORE, "namespaces", name=name)


def nodes(name: str = "") -> str:
    """Return the path of node *name*, or of the list."""
    return resource(_CORE, "nodes", name=name)
