"""Starts the workers of a manager, each with its own surroundings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.ids import ManagerId, WorkerRank
from cnflow.manager.node import hardware
from cnflow.manager.node.environment import worker_variables
from cnflow.manager.node.pinning import accelerator_variables, core_variables, cores_of_each
from cnflow.manager.workers.process import WorkerProcess
from cnflow.tasks.slots import slot_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.model.manager_settings import ManagerSettings


class WorkerFactory:
    """What all workers of one manager have in common.

    Args:
        settings: of the manager.

    Attributes:
        manager: id of the manager, made here.
        slots: workers that it keeps.

    Raises:
        PinningError: the node cannot give what the settings ask for.
    """

    def __init__(self, settings: ManagerSettings) -> None:
        self.manager = ManagerId(os.urandom(6))
        self.slots = slot_count(
            hardware.cores(),
            hardware.memory(),
            settings.cores_per_worker,
            settings.mem_per_worker,
            settings.max_workers,
        )
        self._settings = settings
        self._cores = cores_of_each(settings.cpu_affinity, self.slots, sorted(os.sched_getaffinity(0)))
        self._cuda_devices = hardware.cuda_devices() if len(settings.available_accelerators) > 1 else 0
        self._early: dict[WorkerRank, WorkerProcess] = {}

    def start_early(self) -> None:
        """Start the first worker of each rank, while the manager still imports what it needs itself."""
        for rank in map(WorkerRank, range(self.slots)):
            self._early[rank] = self.start(rank, (rank,) if self._settings.available_accelerators else ())

    def start(self, rank: WorkerRank, shown: Sequence[int]) -> WorkerProcess:
        """The worker of that rank, which sees the accelerators *shown*, by their places among the available ones."""
        early = self._early.pop(rank, None)
        if early is not None:
            return early
        names = self._settings.available_accelerators
        cores = self._cores[rank] if self._cores else []
        environment = {
            **os.environ,
            **worker_variables(rank, self.slots, self.manager, self._settings.block),
            **core_variables(cores),
            **accelerator_variables(shown, names, self.slots, self._cuda_devices),
        }
        sandbox = str(Path(tempfile.gettempdir()) / f"cnflow-{self.manager.hex()}-{rank}")
        with hardware.keeping_to(cores):
            return WorkerProcess(rank, environment, self._settings.working_dir or None, sandbox)
