"""A connected cluster and all that works with it, made when it is first needed.

::

    Connection.open(settings) ──> Cluster ──┬── BlockWatch, Warnings   what blocks do
                                            ├── Removal                their end
                                            ├── RunResources           capsule, Secrets, the run's object
                                            └── ImageProber            digest of an image, its Python
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from cnflow.errors import BlockRejectedError, MissingExtraError
from cnflow.kubernetes_api.errors import ApiError, ClusterError
from cnflow.providers.kubernetes import access
from cnflow.providers.kubernetes.block_watch import BlockWatch, Warnings
from cnflow.providers.kubernetes.node_room import NodeRoom
from cnflow.providers.kubernetes.probe import ImageProber
from cnflow.providers.kubernetes.removal import Removal
from cnflow.providers.kubernetes.run_resources import RunResources
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cnflow.clock import Clock
    from cnflow.config.kubernetes import KubernetesProvider
    from cnflow.kubernetes_api.cluster import Cluster


logger = logging.getLogger(__name__)

_FIRST_ATTEMPTS, _PAUSE = 6, 2.0
"""An API server restarts within ten seconds; later requests are repeated by those who need them."""


def connect(settings: KubernetesProvider) -> Cluster:
    """Return the cluster that *settings* name; nothing is sent.

    Raises:
        MissingExtraError: the client is not installed.
        BlockRejectedError: the settings lead to no cluster.
    """
    with MissingExtraError.for_import("The provider 'kubernetes'", "kubernetes"):
        from cnflow.kubernetes_api.cluster import Cluster, ClusterAddress  # noqa: PLC0415 - imports the SDK, an extra
    address = ClusterAddress(settings.kubeconfig, settings.context, settings.namespace)
    return Cluster.connect(address, Seconds(settings.cmd_timeout))


class Connection:
    """A cluster with its collaborators.

    Args:
        settings: what the user wrote.
        cache_dir: where capsules and probes are kept.
        clock: source of time.
        changed: called, from a thread, when a block may have another status.
        is_ending: set when nobody waits for images any more.
    """

    def __init__(
        self,
        settings: KubernetesProvider,
        *,
        cache_dir: Path | None,
        clock: Clock,
        changed: Callable[[], None],
        is_ending: threading.Event,
    ) -> None:
        self.cluster = connect(settings)
        self.namespace = self.cluster.namespace
        self._settings = settings
        self._is_ending = is_ending
        self._lock = threading.Lock()
        self._is_checked = False
        is_bare = settings.workload == "pod"
        self.watch = BlockWatch(self.cluster, self.namespace, is_bare=is_bare, changed=changed)
        self.warnings = Warnings(self.cluster, self.namespace, clock)
        self.room = NodeRoom(self.cluster, clock)
        self.removal = Removal(self.cluster, self.namespace, is_bare=is_bare, watch=self.watch)
        self.resources = RunResources(self.cluster, settings, cache_dir)
        about, lack_of = self.warnings.about, self.room.lack_of
        self.prober = ImageProber(self.cluster, settings, about, lack_of, cache_dir, is_ending=is_ending)

    def check_once(self) -> None:
        """See once that the namespace exists, and that the user may have blocks in it.

        Raises:
            BlockRejectedError: the namespace or a right is missing; the message has the one rule to add.
            BlockError: the cluster does not answer.
        """
        with self._lock:
            if self._is_checked:
                return
            self._await_answer()
            self._refuse_missing(access.block_rights(self._settings))
            self._is_checked = True

    def check_interchange(self) -> None:
        """See that the user may have an interchange in a pod.

        Raises:
            BlockRejectedError: a right is missing; the message has the one rule to add.
            BlockError: the cluster does not answer.
        """
        self._refuse_missing(access.interchange_rights())

    def _await_answer(self) -> None:
        """Send the first request of all; again for a while where it gets no answer, as while the server restarts.

        Raises:
            BlockRejectedError: the namespace is missing, or the settings lead to no cluster.
            BlockError: the cluster does not answer.
        """
        for left in reversed(range(_FIRST_ATTEMPTS)):
            try:
                access.refuse_missing_namespace(self.cluster)
            except ClusterError as error:
                is_refusal = isinstance(error, (ApiError, BlockRejectedError))
                if is_refusal or not left or self._is_ending.is_set():
                    raise
                logger.warning("the cluster is asked again in %g s, %d times at the most: %s", _PAUSE, left, error)
                self._is_ending.wait(_PAUSE)
            else:
                return

    def _refuse_missing(self, rights: Sequence[access.Right]) -> None:
        missing = access.find_missing(self.cluster, [right for right in rights if not right.is_optional])
        if missing:
            raise BlockRejectedError(access.missing_words(self.cluster, missing))

    def close(self) -> None:
        """End all threads, and close the connections; blocks live on."""
        self.watch.stop()
        self.resources.close()
        self.cluster.close()
