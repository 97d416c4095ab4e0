"""Judges why no manager of a Deployment comes, and whether one will without a person's help. No I/O.

::

    cannot be scaled ─────────────────────────────> reason: the API server's words
    no pod ──┬── none can be made: quota, admission ─> reason, final after the patience of `judge_wait`
             └── none is wanted, and the server does not scale ─> reason
    pods ────┬── one waits: ErrImagePull, Unschedulable ... ──> reason
             └── each waits for what does not come ───────────> final
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnflow.providers.kubernetes.status import Waits
from cnflow.providers.kubernetes.waiting import SOON, judge_wait
from cnflow.units import Seconds
from cnflow.wire.manager_messages import NoWorkers

if TYPE_CHECKING:
    from collections.abc import Collection

    from cnflow.worker_pool.deployments.scaling import Pod

CRASHES = Seconds(330.0)
"""Patience with a container that ends again and again: its kubelet waits for up to 300 s before the next start, also
where only the server was away."""

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff"})
"""Reasons between which one wait goes back and forth."""


class MissingWorkers:
    """Waits of one Deployment's pods, while none has a manager; the module has a picture.

    Args:
        name: of the Deployment.
        scales: the server changes the number of its pods.
    """

    def __init__(self, name: str, *, scales: bool) -> None:
        self._name = name
        self._scales = scales
        self._waits = Waits()
        self._waiting: set[str] = set()
        self.refusal = ""
        """Why no pod can be made, or scaled; empty while they can."""

        self.outage = ""
        """Why the number of pods cannot be read or set; empty while it can."""

    def judge(self, pods: Collection[Pod], replicas: int, tasks: int, now: Seconds) -> NoWorkers:
        """Return why no manager is connected.

        Args:
            pods: those that stay.
            replicas: pods that there are to be.
            tasks: unfinished ones.
            now: the moment.
        """
        self._forget_all_but({pod.name for pod in pods} | {self._name})
        if pods:
            news = self._judge_pods(pods, now)
        elif replicas and self.refusal:
            patience = self._patience("FailedCreate", self.refusal)
            is_final = self._duration(self._name, "FailedCreate", now) >= patience
            news = NoWorkers(f"no pod of Deployment {self._name} can be made: {self.refusal}", is_final)
        elif tasks and not replicas and not self._scales:
            news = NoWorkers(f"Deployment {self._name} is to have 0 pods, and its pool does not change that")
        else:
            news = NoWorkers("")
        if self.outage and not news.is_final:
            return NoWorkers(f"Deployment {self._name} cannot be scaled: {self.outage}")
        return news

    def on_manager(self) -> None:
        """Begin anew: a manager is connected."""
        self._forget_all_but(set())

    def _judge_pods(self, pods: Collection[Pod], now: Seconds) -> NoWorkers:
        waiting = [pod for pod in pods if pod.message]
        overdue = [pod for pod in waiting if self._is_overdue(pod, now)]
        if not waiting:
            return NoWorkers("")
        shown = (overdue or waiting)[0]
        others = f" ({len(waiting)} of {len(pods)} pods wait)" if len(pods) > 1 else ""
        return NoWorkers(f"pod {shown.name}{others}: {shown.message}", len(overdue) == len(pods))

    def _is_overdue(self, pod: Pod, now: Seconds) -> bool:
        kind = "image" if pod.reason in _IMAGE else pod.reason
        return self._duration(pod.name, kind, now) >= self._patience(pod.reason, pod.message)

    def _duration(self, name: str, kind: str, now: Seconds) -> Seconds:
        self._waiting.add(name)
        return self._waits.duration(name, kind, now)

    def _patience(self, reason: str, words: str) -> float:
        if reason == "CrashLoopBackOff":
            return CRASHES
        patience = judge_wait(reason, words).patience
        return math.inf if patience is None else max(SOON, patience)

    def _forget_all_but(self, names: set[str]) -> None:
        for name in self._waiting - names:
            self._waits.forget(name)
        self._waiting &= names
