"""Makes events of what an executor learns of its blocks, managers, workers and interchange, for the run's sinks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cnflow.blocks.block import FINAL, Stage
from cnflow.executors.high_throughput.places import Places
from cnflow.ids import FIRST_CALL, TaskId
from cnflow.model.events import (
    BlockEvent,
    DroppedEvents,
    InterchangeEvent,
    ManagerEvent,
    ModelEvent,
    NodeSample,
    SampleBatch,
    WorkerEvent,
)
from cnflow.model.machine import Rate
from cnflow.model.task import StagingNote, TaskState
from cnflow.wire import messages as msg
from cnflow.wire.manager_messages import Events, Samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.blocks.block import Block
    from cnflow.executors.high_throughput.model_preparation import PreparedModel
    from cnflow.ids import BlockId, ManagerId
    from cnflow.interfaces.sink import Emit
    from cnflow.model.events import AnyEvent
    from cnflow.wire.manager_messages import ManagerInfo

_STAGING = {
    "staging_in": TaskState.STAGING_IN,
    "staged": TaskState.RUNNING,
    "staging_out": TaskState.STAGING_OUT,
}


class ExecutorEvents:
    """Emits the events of one executor.

    Args:
        label: of the executor.
        emit: takes each event; None: the run has no sink, and nothing is made.
        places: describe managers.
    """

    def __init__(self, label: str, emit: Emit | None, places: Places | None = None) -> None:
        self._label = label
        self._places = Places("", label) if places is None else places
        self.is_on = emit is not None
        self._emit = emit if emit is not None else _drop
        self._on_staging: Callable[[StagingNote], None] = _ignore
        self.is_present: Callable[[TaskId, int], bool] = lambda _, __: True
        """Returns False for an attempt at a task that is over: a note that it runs comes late, and would be taken for
        its last state."""

        self._managers: dict[ManagerId, ManagerInfo] = {}
        self._stages: dict[BlockId, Stage] = {}
        self._costs = _BlockCosts()

    def on_message(self, message: object) -> None:
        """Follow a message of the interchange."""
        if isinstance(message, Events):
            self._on_staging_notes(message)
        if not self.is_on:
            return
        if isinstance(message, msg.ManagerUp):
            self._managers[message.id] = message.info
            self._on_manager(message.id, message.info, "up")
        elif isinstance(message, msg.ManagerDown):
            info = self._managers.pop(message.id, None)
            if info is not None:
                self._on_manager(message.id, info, "down", message.reason)
        elif isinstance(message, Events):
            self._on_worker_events(message)
        elif isinstance(message, Samples):
            self._on_samples(message)

    def follow_staging(self, on_note: Callable[[StagingNote], None]) -> None:
        """See `cnflow.interfaces.ReportsStaging`."""
        self._on_staging = on_note

    def on_staging(self, note: StagingNote) -> None:
        """Report a step of staging in the driver."""
        self._on_staging(note)

    def on_interchange(self, state: str, reason: str = "") -> None:
        """Report the *state* of the interchange."""
        self._emit(InterchangeEvent(time=time.time(), executor=self._label, state=state, reason=reason))

    def on_model(self, news: PreparedModel) -> None:
        """Report that a worker has loaded a model, or cannot."""
        model, _, version = news.app.name.partition("@")
        event = ModelEvent(
            time=time.time(),
            model=model,
            version=version,
            state="load_failed" if news.error else "loaded",
            reason=news.error,
            executor=self._label,
            manager=news.manager,
            worker=news.worker,
            seconds=news.seconds,
        )
        self._emit(event)

    def on_block(self, block: Block, provider: str = "", rate: Rate | None = None) -> None:
        """Report the stage of *block* if it is new: of a *provider* of that kind, at a *rate* if it reports none."""
        if self._stages.get(block.id) is not block.stage:
            self._stages[block.id] = block.stage
            self._costs.follow(block, rate)
            self._on_stage(block.id, block.stage, block.native or "", block.message, provider)

    def close(self) -> None:
        """Report the end of the run, which ends what is left."""
        for block, stage in self._stages.items():
            if stage not in FINAL:
                self._on_stage(block, Stage.ENDED, "", "the run ended")
        self._stages = {}
        for manager, info in self._managers.items():
            self._on_manager(manager, info, "down", "the run ended")
        self._managers = {}

    def _on_stage(self, block: BlockId, stage: Stage, native: str, reason: str, provider: str = "") -> None:
        event = BlockEvent(
            time=time.time(),
            executor=self._label,
            block=block,
            state=stage.value,
            native=native,
            reason=reason,
            provider=provider,
            usd=self._costs.usd(block),
        )
        self._emit(event)

    def _on_manager(self, manager: ManagerId, info: ManagerInfo, state: str, reason: str = "") -> None:
        place = self._places.place_of(manager, info)
        event = ManagerEvent(
            time=time.time(),
            executor=self._label,
            block=place.block,
            manager=place.manager,
            host=place.host,
            state=state,
            workers=info.slots,
            reason=reason,
            image=place.image,
            digest=place.digest,
            image_id=place.image_id,
            python=place.python,
            packages=place.packages,
            cores=info.node.cores or -1.0,
            memory=info.node.memory or -1,
        )
        self._emit(event)

    def _on_worker_events(self, message: Events) -> None:
        now = time.time()
        if message.dropped:
            self._emit(DroppedEvents(time=now, count=message.dropped, source=message.manager.hex()))
        if message.lost:
            self._emit(DroppedEvents(time=now, count=message.lost, source="interchange"))
        for each in message.events:
            if each.task >= FIRST_CALL:  # a call of no graph, which no sink knows: models are counted by their servers
                continue
            if each.state == "running" and not self.is_present(TaskId(each.task), each.attempt):
                continue
            event = WorkerEvent(
                time=each.time,
                executor=self._label,
                block=message.block,
                manager=message.manager.hex(),
                host=message.host,
                worker=each.worker,
                state=each.state,
                task=each.task,
                attempt=each.attempt,
                reason=each.reason,
                url=each.url,
                done=each.done,
                total=each.total,
            )
            self._emit(event)

    def _on_samples(self, message: Samples) -> None:
        now, manager = time.time(), message.manager.hex()
        if message.dropped:
            self._emit(DroppedEvents(time=now, count=message.dropped, source=manager))
        if message.lost:
            self._emit(DroppedEvents(time=now, count=message.lost, source="interchange"))
        place: dict[str, Any] = {
            "executor": self._label,
            "block": message.block,
            "manager": manager,
            "host": message.host,
        }
        if message.count:
            self._emit(SampleBatch(time=now, count=message.count, packed=message.packed, **place))
        for use in message.nodes:
            values = {name: getattr(use, name) for name in use.__struct_fields__}
            self._emit(NodeSample(**values, **place))

    def _on_staging_notes(self, message: Events) -> None:
        for each in message.events:
            state = _STAGING.get(each.state)
            if state is not None and each.task < FIRST_CALL:
                note = StagingNote(TaskId(each.task), state, each.url, each.done, each.total, message.host)
                self._on_staging(note)


class _BlockCosts:
    """Cost of each block so far, at the rate that was known last; from the moment in which it ran."""

    def __init__(self) -> None:
        self._blocks: dict[BlockId, tuple[float, float]] = {}
        """Time of the beginning, and dollars an hour."""

    def follow(self, block: Block, rate: Rate | None) -> None:
        """Note the beginning of *block*, and its rate."""
        reported = block.last_status.rate if block.last_status is not None else None
        per_hour = (reported or rate or _NO_RATE).usd_per_hour
        begun = self._blocks[block.id][0] if block.id in self._blocks else time.time()
        if per_hour is not None and (block.stage is Stage.RUNNING or block.id in self._blocks):
            self._blocks[block.id] = begun, per_hour

    def usd(self, block: BlockId) -> float:
        """Return the dollars that *block* has cost; below 0 where that is not known."""
        begun, per_hour = self._blocks.get(block, (0.0, -1.0))
        return (time.time() - begun) / 3600 * per_hour if per_hour >= 0 else -1.0


_NO_RATE = Rate()


def _ignore(note: StagingNote) -> None:
    """Do nothing with *note*: there is no run yet."""


def _drop(event: AnyEvent) -> None:
    """Do nothing with *event*: there is no sink."""
