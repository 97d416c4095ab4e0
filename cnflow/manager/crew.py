"""Starts the workers of a manager, each with its own surroundings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.manager import devices
from cnflow.manager.pinning import accelerator_variables, core_variables, cores_of_each
from cnflow.manager.processes import WorkerProcess
from cnflow.manager.variables import worker_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.ids import ManagerId, WorkerRank
    from cnflow.model.settings import ManagerSettings


class Crew:
    """What all workers of one manager have in common.

    Args:
        settings: of the manager.
        manager: its id.
        slots: workers that it keeps.

    Raises:
        PinningError: the node cannot give what the settings ask for.
    """

    def __init__(self, settings: ManagerSettings, manager: ManagerId, slots: int) -> None:
        self._settings = settings
        self._manager = manager
        self._slots = slots
        self._cores = cores_of_each(settings.cpu_affinity, slots, sorted(os.sched_getaffinity(0)))
        self._cuda_devices = devices.cuda_devices() if len(settings.available_accelerators) > 1 else 0

    def start(self, rank: WorkerRank, shown: Sequence[int]) -> WorkerProcess:
        """The worker of that rank, which sees the accelerators *shown*, by their places among the available ones."""
        names = self._settings.available_accelerators
        cores = self._cores[rank] if self._cores else []
        environment = {
            **os.environ,
            **worker_variables(rank, self._slots, self._manager, self._settings.block),
            **core_variables(cores),
            **accelerator_variables(shown, names, self._slots, self._cuda_devices),
        }
        sandbox = str(Path(tempfile.gettempdir()) / f"cnflow-{self._manager.hex()}-{rank}")
        with devices.keeping_to(cores):
            return WorkerProcess(rank, environment, self._settings.working_dir or None, sandbox)
