"""Decides how many pods a pool's Deployment has, and which of them go. No I/O: `blocks` asks and orders.

::

    tasks, idle times ──> strategy ──┬── Start(n) ──> SetReplicas(+n)
                                     └── Drain ──┬── pods that do not exist yet ──> SetReplicas(-k)
                                                 ├── pods without a manager ──────> MarkFirst ──> SetReplicas(-k)
                                                 └── pods with a manager ─────────> MarkFirst, OrderDrain
    a pod's life:  asked for ──> exists ──> manager connected ──> drains ──> drained: SetReplicas(-1) ──> gone
                                                                                 └── still there: DeletePod

A Deployment chooses by itself which pod it removes: one that is not ready first, then the one with the lowest
``pod-deletion-cost`` (https://kubernetes.io/docs/reference/labels-annotations-taints/#pod-deletion-cost). A drained pod
that stays since another one went is deleted: its manager would be given no task any more, and the Deployment makes a
new pod in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cnflow.blocks.strategy import BlockView, Drain, Situation, Start
from cnflow.ids import BlockId
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.blocks import Demand
    from cnflow.blocks.strategy import Limits, Strategy

SETTLING = Seconds(10.0)
"""Time that a Deployment has to remove a pod after its number was changed."""

_ABSENT = "?"
"""Begin of the id of a pod that was asked for and does not exist yet."""


class Pod(NamedTuple):
    """A pod of the Deployment, as the API server has it."""

    name: str
    is_ending: bool
    """It is being deleted, or has ended."""

    state: str = "running"
    """``pending`` or ``running``."""

    message: str = ""
    """Why it does not run; empty while it does."""

    created: float = 0.0
    """Unix time."""

    reason: str = ""
    """First word of `message`: what the pod waits for."""

    def age(self, now: float) -> float:
        """Seconds since it was made, at the Unix time *now*."""
        return max(0.0, now - self.created)


@dataclass(frozen=True)
class SetReplicas:
    """Let the Deployment have so many pods."""

    number: int


@dataclass(frozen=True)
class MarkFirst:
    """Let the Deployment remove this pod before others."""

    pod: str


@dataclass(frozen=True)
class OrderDrain:
    """Order the interchange to drain this pod."""

    pod: str


@dataclass(frozen=True)
class DeletePod:
    """Delete this pod, which was drained."""

    pod: str


@dataclass(frozen=True)
class Forget:
    """Let the interchange refuse managers of this pod, which is gone."""

    pod: str


Action = SetReplicas | MarkFirst | OrderDrain | DeletePod | Forget


class DeploymentScale:
    """State of one Deployment; the module has a picture.

    Args:
        limits: of its pods; `Limits.init_blocks` counts for the first decision.
        strategy: of the server.
        slots_per_pod: workers that are expected of a pod until the first one has connected.
        scales: False never changes the number of pods, and knows them for reports alone.
    """

    def __init__(self, limits: Limits, strategy: Strategy, slots_per_pod: int, *, scales: bool = True) -> None:
        self._limits = limits
        self._strategy = strategy
        self._slots = slots_per_pod
        self._scales = scales
        self.replicas = 0
        """Pods that the Deployment is to have."""

        self.pods: dict[str, Pod] = {}
        self.workers: dict[str, int] = {}
        """Workers by pod, of pods whose manager is connected."""

        self._idle: Mapping[BlockId, float] = {}
        self.draining: dict[str, Seconds] = {}
        """Pods that were ordered to drain, and the moment."""

        self._drained: dict[str, Seconds] = {}
        """Pods that are drained and should go, and the moment of the last change of the number of pods."""

        self._idle_since: Seconds | None = None
        self._is_first = True
        self._is_listed = False

    # Events

    def on_replicas(self, number: int) -> None:
        """Take the number of pods that the Deployment is to have, which others may have changed."""
        self.replicas = number

    def on_pods(self, pods: Iterable[Pod]) -> list[Action]:
        """Take all pods that exist."""
        before, self.pods = self.pods, {pod.name: pod for pod in pods}
        self._is_listed = True
        gone = before.keys() - self.pods.keys()
        for pod in gone:
            self.draining.pop(pod, None)
            self._drained.pop(pod, None)
            self.workers.pop(pod, None)
        return [Forget(pod) for pod in sorted(gone)]

    def on_manager_up(self, pod: str, slots: int) -> None:
        """Note that the manager of *pod* is connected."""
        self.workers[pod] = slots
        self._slots = slots

    def on_manager_down(self, pod: str) -> None:
        """Note that the manager of *pod* is gone, whatever becomes of the pod."""
        self.workers.pop(pod, None)

    def on_idle_times(self, seconds: Mapping[BlockId, float]) -> None:
        """Take the time for which each pod has held no task."""
        self._idle = seconds

    def on_drained(self, pod: str, now: Seconds) -> list[Action]:
        """Let the Deployment remove *pod*, whose manager holds no task and gets none."""
        if pod not in self.draining or pod in self._drained:
            return []
        self._drained[pod] = now
        return [self._set_replicas(self.replicas - 1)]

    def staying(self) -> list[Pod]:
        """Return the pods that are there to stay."""
        return [pod for pod in self.pods.values() if not pod.is_ending and pod.name not in self.draining]

    # Decisions

    def decide(self, demand: Demand, now: Seconds) -> list[Action]:
        """Return what is to be done for *demand* at this moment. Nothing before the pods were listed."""
        if not self._is_listed or not self._scales:
            return []
        actions = self._remove_leftovers(now)
        blocks = self._blocks()
        situation = Situation(
            demand.tasks,
            self._idle_for(demand, now),
            blocks,
            max(1, self._slots),
            self._is_first,
            self._limits,
            slots_wanted=demand.slots,
        )
        self._is_first = False
        for change in self._strategy(situation):
            if isinstance(change, Start):
                actions += self._start(change.number, len(blocks))
            elif isinstance(change, Drain):
                actions += self._drain(change.blocks, now)
        actions += self._hold_limits(len(blocks), actions, now)
        self._idle = {}  # a pod may have a task by the next decision
        return actions

    def _blocks(self) -> Sequence[BlockView]:
        """Pods that exist and stay, then those that were asked for.

        A rollout has more pods than there should be for a while: the oldest ones go by themselves.
        """
        existing = self.staying()
        leaving = sum(pod not in self._drained and self._stays(pod) for pod in self.draining)
        wanted = max(0, self.replicas - leaving)
        views = [
            BlockView(BlockId(pod.name), self.workers.get(pod.name, 0), Seconds(self._idle.get(BlockId(pod.name), 0.0)))
            for pod in existing[max(0, len(existing) - wanted) :]
        ]
        absent = wanted - len(views)
        return [*views, *(BlockView(BlockId(f"{_ABSENT}{number}"), 0, Seconds(0.0)) for number in range(absent))]

    def _idle_for(self, demand: Demand, now: Seconds) -> Seconds:
        if demand.tasks:
            self._idle_since = None
            return Seconds(0.0)
        if self._idle_since is None:
            self._idle_since = now
        return Seconds(now - self._idle_since)

    def _start(self, number: int, blocks: int) -> list[Action]:
        more = min(number, self._limits.max_blocks - blocks)
        return [self._set_replicas(self.replicas + more)] if more > 0 else []

    def _drain(self, blocks: Sequence[BlockId], now: Seconds) -> list[Action]:
        absent = sum(block.startswith(_ABSENT) for block in blocks)
        idle = [block for block in blocks if block in self.pods and block not in self.workers]
        busy = [block for block in blocks if block in self.workers]
        actions: list[Action] = [MarkFirst(block) for block in (*idle, *busy)]
        for block in (*idle, *busy):
            self.draining[block] = now
        for block in idle:
            self._drained[block] = now
        if idle or absent:
            actions.append(self._set_replicas(self.replicas - absent - len(idle)))
        return [*actions, *(OrderDrain(block) for block in (*idle, *busy))]

    def _hold_limits(self, blocks: int, done: Sequence[Action], now: Seconds) -> list[Action]:
        """Go back below the limit where another hand has exceeded it, or a new configuration has a lower one."""
        spare = blocks - self._limits.max_blocks
        if done or spare <= 0:
            return []
        views = sorted(self._blocks(), key=lambda view: (view.workers > 0, -view.idle_for))
        return self._drain([view.id for view in views[:spare]], now)

    def _remove_leftovers(self, now: Seconds) -> list[Action]:
        """Delete drained pods that the Deployment did not choose."""
        actions: list[Action] = []
        for pod, since in self._drained.items():
            if now - since >= SETTLING and self._stays(pod):
                self._drained[pod] = now
                actions.append(DeletePod(pod))
        return actions

    def _stays(self, pod: str) -> bool:
        return pod in self.pods and not self.pods[pod].is_ending

    def _set_replicas(self, number: int) -> SetReplicas:
        self.replicas = max(0, number)
        return SetReplicas(self.replicas)
