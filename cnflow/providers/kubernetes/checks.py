"""Findings of `cnflow doctor` about a cluster: its version, namespace, and the rights of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import BlockError, MissingExtraError
from cnflow.kubernetes_api import paths
from cnflow.model.finding import Finding, Verdict
from cnflow.providers.kubernetes import access
from cnflow.providers.kubernetes.connection import connect
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.config.kubernetes import KubernetesProvider
    from cnflow.kubernetes_api.cluster import Cluster

ABOUT = "Kubernetes"
_TIMEOUT = Seconds(4.0)
"""A doctor does not wait longer for a cluster behind a VPN."""


def check_cluster(settings: KubernetesProvider) -> Sequence[Finding]:
    """Return what works of the cluster that *settings* name; one that does not answer is a finding, too."""
    try:
        cluster = connect(settings)
    except MissingExtraError:
        found = "not known: the package kubernetes, the connection to a cluster, is not installed"
        return [Finding(ABOUT, Verdict.ABSENT, found, "Run: pip install 'cnflow[kubernetes]'")]
    except BlockError as error:
        return [_of_error(error)]
    try:
        return _examine(cluster, settings)
    except BlockError as error:
        return [_of_error(error)]
    finally:
        cluster.close()


def role_for(settings: KubernetesProvider) -> str:
    """Return the Role that a driver with *settings* needs, and its binding to this user, as YAML.

    Raises:
        MissingExtraError: the client is not installed.
        BlockRejectedError: the settings lead to no cluster.
    """
    cluster = connect(settings)
    try:
        user = _user_of(cluster)
    finally:
        cluster.close()
    rights = access.needed_rights(settings, hosts_interchange=not cluster.is_inside)
    return access.role_manifest(cluster.namespace, rights, access.subject_of(user))


def _user_of(cluster: Cluster) -> str:
    """Return the name that the cluster has for this user; empty if it does not say, or does not answer."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = cluster.request("POST", paths.SELF_REVIEWS, body=review, timeout=_TIMEOUT)
    except BlockError:  # one of a server before 1.28, too
        return ""
    return str(answer["status"]["userInfo"].get("username", ""))


def _examine(cluster: Cluster, settings: KubernetesProvider) -> list[Finding]:
    version = cluster.request("GET", paths.VERSION, timeout=_TIMEOUT)["gitVersion"]
    findings = [Finding(ABOUT, Verdict.GOOD, f"{version} answers at {cluster.server} ({cluster.source})")]
    access.refuse_missing_namespace(cluster)
    missing = access.find_missing(cluster, access.needed_rights(settings, hosts_interchange=not cluster.is_inside))
    needed = [right for right in missing if not right.is_optional]
    about = f"{ABOUT}, namespace {cluster.namespace}"
    if needed:
        found, _, advice = access.missing_words(cluster, needed).partition("\n")
        return [*findings, Finding(about, Verdict.ABSENT, found, advice)]
    without = "".join(f"; not {right.purpose} ({right.resource})" for right in missing)
    return [*findings, Finding(about, Verdict.GOOD, f"this user may run blocks there{without}")]


def _of_error(error: BlockError) -> Finding:
    found, _, advice = str(error).partition("\n")
    return Finding(ABOUT, Verdict.ABSENT, found, advice)
