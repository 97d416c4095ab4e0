"""Process that carries bytes between its own stdin and stdout and a TCP port of a pod, through ``pods/portforward``.

``python -m cnflow.kubernetes_api.tunnel KUBECONFIG CONTEXT NAMESPACE SELECTOR PORT``

::

    client ── stdin ──> tunnel ══ WebSocket, TLS ══> API server ──> kubelet ──> port of a ready pod with these labels
           <─ stdout ──        <═════════════════════════════════

As ``ssh -W`` does. Empty arguments stand for the usual kubeconfig, its current context and its namespace. The user
needs ``list`` on pods, and ``get`` and ``create`` on ``pods/portforward``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockRejectedError, CnflowError
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.cluster import Cluster, ClusterAddress
from cnflow.kubernetes_api.errors import ClusterError
from cnflow.kubernetes_api.exec import open_stream
from cnflow.kubernetes_api.pump import FAILED, Pump
from cnflow.model.pool_settings import PIPE_MAY_STAND_SOON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROTOCOLS = ("v4.channel.k8s.io",)
_DATA, _ERROR = 0, 1
"""Channels of the only port; each begins with the port's number, of 2 bytes."""

_NUMBER_SIZE = 2


def choose_pod(pods: Sequence[Mapping[str, Any]], selector: str) -> str:
    """Return the name of a pod that is ready; the one that became it last, as the others may be about to end. Pure.

    Raises:
        ClusterError: there is none.
    """
    ready = [pod for pod in pods if _is_ready(pod)]
    if not ready:
        raise ClusterError(
            f"No pod with the labels {selector} is ready, of {len(pods)}. See: kubectl get pods -l {selector}"
        )
    return str(max(ready, key=lambda pod: pod["metadata"]["creationTimestamp"])["metadata"]["name"])


def run(cluster: Cluster, selector: str, port: int) -> None:
    """Carry bytes until either end closes.

    Raises:
        ApiError: the server refuses.
        ClusterError: it does not answer, no pod is ready, or nobody listens there.
        OSError: the connection broke.
    """
    pod = choose_pod(cluster.list_all(paths.pods(cluster.namespace), selector).items, selector)
    path = f"{paths.pods(cluster.namespace, pod, 'portforward')}?ports={port}"
    stream = open_stream(cluster, path, _PROTOCOLS)
    try:
        words = Pump(stream, outputs={_DATA: sys.stdout.fileno()}, end=_ERROR, skipped=_NUMBER_SIZE).run()
    finally:
        stream.close()
    if words:
        raise ClusterError(f"Port {port} of pod {pod} is not reached: {words.decode(errors='replace')}")


def main() -> int:
    """Carry bytes as the arguments say; return the exit code of the process."""
    kubeconfig, context, namespace, selector, port = sys.argv[1:]
    try:
        cluster = Cluster.connect(ClusterAddress(kubeconfig or None, context or None, namespace or None))
        run(cluster, selector, int(port))
    except (CnflowError, OSError) as error:
        sys.stderr.write(f"cnflow: the tunnel to {selector}, port {port}: {error}\n")
        is_final = isinstance(error, BlockRejectedError) or not isinstance(error, (ClusterError, OSError))
        return FAILED if is_final else PIPE_MAY_STAND_SOON
    return 0


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return is_ready and not pod["metadata"].get("deletionTimestamp")


if __name__ == "__main__":
    sys.exit(main())
