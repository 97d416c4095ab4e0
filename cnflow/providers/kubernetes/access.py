"""Rights that a driver needs in its namespace, what is missing of them, and the Role that gives them.

::

    block_rights, interchange_rights ──one SelfSubjectAccessReview each──> missing ──> `missing_words`: the rule to add
             └── needed_rights, role_manifest: the whole Role, which `cnflow doctor --kubernetes` prints

https://kubernetes.io/docs/reference/access-authn-authz/authorization/
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import BlockRejectedError
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import FORBIDDEN, NOT_FOUND, ApiError
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.config.kubernetes import KubernetesProvider
    from cnflow.kubernetes_api.cluster import Cluster

_CANNOT = re.compile(r' cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"')


_JOB_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "watch")
_ACCOUNT = "system:serviceaccount:"


class Right(NamedTuple):
    """Verbs on one resource of the namespace."""

    group: str
    """API group; empty for the core."""

    resource: str
    """Plural; with a subresource as ``pods/log``."""

    verbs: tuple[str, ...]
    purpose: str
    """What it is for, in the words of a user."""

    is_optional: bool = False
    """Without it blocks run, with less said about those that fail."""


def needed_rights(settings: KubernetesProvider, *, hosts_interchange: bool) -> list[Right]:
    """Return the rights that a driver with *settings* needs.

    Args:
        settings: what the user wrote.
        hosts_interchange: the interchange runs in a pod of its own, as for a driver outside of the cluster.
    """
    rights = block_rights(settings)
    if not hosts_interchange:
        return rights
    makes_pods, *others = interchange_rights()
    merged = [
        right._replace(verbs=tuple(dict.fromkeys((*makes_pods.verbs, *right.verbs))))
        if right.resource == makes_pods.resource
        else right
        for right in rights
    ]
    return [*merged, *others]


def block_rights(settings: KubernetesProvider) -> list[Right]:
    """Return the rights for blocks; without one to Jobs, where blocks are bare pods."""
    is_bare = settings.workload == "pod"
    jobs = Right("batch", "jobs", _JOB_VERBS, "blocks and the run's object")
    policies = Right("networking.k8s.io", "networkpolicies", ("create", "delete", "get"), "network_policy=True")
    makes_pods = ("create",) if is_bare else ()
    return [
        *(() if is_bare else (jobs,)),
        *((policies,) if settings.network_policy else ()),
        Right("", "pods", (*makes_pods, "delete", "deletecollection", "get", "list", "watch"), "the pods of blocks"),
        Right("", "secrets", ("create", "delete", "patch"), "keys of blocks"),
        Right("", "configmaps", ("create", "delete", "get", "list", "patch"), "cnflow's own code"),
        Right("", "pods/log", ("get",), "the last lines of a block that failed", is_optional=True),
        Right("", "events", ("list",), "reasons for which a block waits", is_optional=True),
    ]


def interchange_rights() -> list[Right]:
    """Return the rights for an interchange in a pod of its own, beside those for blocks; that to make its pod first."""
    return [
        Right("", "pods", ("create",), "the pod of the interchange"),
        Right("", "pods/exec", ("create", "get"), "the connection with the interchange"),
        Right("", "services", ("create", "delete", "get"), "the address of the interchange"),
    ]


def find_missing(cluster: Cluster, rights: Iterable[Right]) -> list[Right]:
    """Return what the user lacks of *rights* in the cluster's namespace, each with the missing verbs alone.

    Raises:
        ClusterError: the cluster does not answer.
    """
    missing = []
    for right in rights:
        verbs = tuple(verb for verb in right.verbs if not _may(cluster, right, verb))
        if verbs:
            missing.append(right._replace(verbs=verbs))
    return missing


def refuse_missing_namespace(cluster: Cluster) -> None:
    """See that the namespace exists; a user who may not look is believed.

    Raises:
        BlockRejectedError: it does not; the message has the nearest name.
        ClusterError: the cluster does not answer.
    """
    try:
        cluster.request("GET", paths.namespaces(cluster.namespace))
    except ApiError as error:
        if error.status == FORBIDDEN:
            return
        if error.status != NOT_FOUND:
            raise
        known = _namespaces(cluster)
        raise BlockRejectedError(
            f"The cluster at {cluster.server} has no namespace {cluster.namespace!r}."
            f"{did_you_mean(cluster.namespace, known)}\nCorrect KubernetesProvider(namespace) or the namespace of "
            f"{cluster.source}, or make it: kubectl create namespace {cluster.namespace}"
        ) from error


def missing_words(cluster: Cluster, missing: Sequence[Right]) -> str:
    """Return the message about *missing* rights: the one rule for each API group that must be added."""
    purposes = ", ".join(dict.fromkeys(right.purpose for right in missing))
    return (
        f"The user of {cluster.source} lacks rights in namespace {cluster.namespace!r} of {cluster.server}: {purposes}."
        f"\nAsk for a Role there with\nrules:\n{rules_of(missing)}\n`cnflow doctor --kubernetes` prints the whole Role."
    )


def explain_refusal(error: ApiError) -> str:
    """Return the words of a refusal, with the rule to add if a right is missing."""
    found = _CANNOT.search(error.message)
    if not error.is_missing_right or found is None:
        return str(error)
    right = Right(found["group"], found["resource"], (found["verb"],), "")
    return (
        f"{error}\nAsk for a Role there with\nrules:\n{rules_of([right])}\n"
        "`cnflow doctor --kubernetes` prints the whole Role."
    )


def rules_of(rights: Iterable[Right]) -> str:
    """Return *rights* as rules of a Role in YAML, those with the same verbs of one group together."""
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for right in rights:
        together.setdefault((right.group, right.verbs), []).append(right.resource)
    return "\n".join(
        f"- apiGroups: {json.dumps([group])}\n  resources: {json.dumps(resources)}\n  verbs: {json.dumps(list(verbs))}"
        for (group, verbs), resources in together.items()
    )


def role_manifest(namespace: str, rights: Sequence[Right], subject: Mapping[str, Any] | None = None) -> str:
    """Return Role and RoleBinding in YAML, for ``kubectl apply``.

    Args:
        namespace: of both.
        rights: that the Role gives.
        subject: who gets them; None is a service account called cnflow.
    """
    of_account = {"kind": "ServiceAccount", "name": "cnflow", "namespace": namespace}
    return (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n"
        f"metadata: {{name: cnflow, namespace: {namespace}}}\nrules:\n{rules_of(rights)}\n"
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n"
        f"metadata: {{name: cnflow, namespace: {namespace}}}\n"
        "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: cnflow}\n"
        f"subjects:\n- {json.dumps(subject or of_account)}\n"
    )


def subject_of(user: str) -> dict[str, Any] | None:
    """Return the entry of a RoleBinding for the *user* as the cluster names it; None for an empty name."""
    if user.startswith(_ACCOUNT):
        namespace, _, name = user.removeprefix(_ACCOUNT).partition(":")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"} if user else None


def _may(cluster: Cluster, right: Right, verb: str) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "namespace": cluster.namespace,
        "verb": verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = cluster.request("POST", paths.SELF_ACCESS_REVIEWS, body=review)
    return bool(answer["status"].get("allowed"))


def _namespaces(cluster: Cluster) -> list[str]:
    try:
        return [str(one["metadata"]["name"]) for one in cluster.list_all(paths.namespaces()).items]
    except ApiError:
        return []
