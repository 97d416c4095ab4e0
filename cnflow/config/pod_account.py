"""Service account of the pod in which this process may run, and by which it reaches its cluster. Needs no client.

::

    KUBERNETES_SERVICE_HOST, the mounted token ──> in a pod ── kubeconfig=, context=, $KUBECONFIG ──> another cluster's
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Holds token, certificate and namespace; see https://kubernetes.io/docs/tasks/run-application/access-api-from-pod."""

_SERVICE_HOST = "KUBERNETES_SERVICE_HOST"


def is_in_pod(variables: Mapping[str, str]) -> bool:
    """Return whether this process runs in a pod that has its service account."""
    return bool(variables.get(_SERVICE_HOST)) and (ACCOUNT_FOLDER / "token").is_file()


def uses_account(kubeconfig: str | None, context: str | None, variables: Mapping[str, str] | None = None) -> bool:
    """Return whether the service account of this pod is what leads to the cluster.

    Args:
        kubeconfig: of the settings.
        context: of the settings.
        variables: of the environment; None takes those of this process.
    """
    known = os.environ if variables is None else variables
    return not (kubeconfig or context or known.get("KUBECONFIG")) and is_in_pod(known)
