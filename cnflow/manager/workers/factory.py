"""Starts the workers of a manager, each with its own environment."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from cnflow.ids import ManagerId, WorkerRank
from cnflow.manager.node import hardware
from cnflow.manager.node.area import NodeArea
from cnflow.manager.node.environment import worker_variables
from cnflow.manager.node.identity import identity_variables
from cnflow.manager.node.pinning import accelerator_variables, assign_cores, core_variables
from cnflow.manager.node.shared_memory import shares_memory
from cnflow.manager.workers.process import OutOfProcessesError, WorkerProcess
from cnflow.open_files import set_open_file_limit
from cnflow.tasks import script_arguments, shared_values
from cnflow.tasks.local_packages import FOLDER_VARIABLE
from cnflow.tasks.slots import slot_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.log_lines import JSONLog
    from cnflow.model.manager_settings import ManagerSettings
    from cnflow.open_files import Limits
    from cnflow.output_queue import OutputQueue


class WorkerFactory:
    """Holds the properties that all workers of one manager share.

    Args:
        settings: of the manager.
        output: takes what the workers print.
        log: writes that as JSON; None as text.
        open_files: limits for the workers; None leaves them the manager's own.

    Attributes:
        manager_id: id of the manager, made here.
        slots: number of workers to keep running.
        area: folders for what tasks need and leave.

    Raises:
        PinningError: the node has too few cores for the settings.
    """

    def __init__(
        self,
        settings: ManagerSettings,
        output: OutputQueue,
        open_files: Optional[Limits] = None,
        log: Optional[JSONLog] = None,
    ) -> None:
        self.manager_id = ManagerId(os.urandom(6))
        self.slots = slot_count(
            hardware.core_count(),
            hardware.memory_bytes(),
            settings.cores_per_worker,
            settings.mem_per_worker,
            settings.max_workers,
        )
        self._settings = settings
        self._output = output
        self._log = log
        self._open_files = open_files
        self._cores = assign_cores(settings.cpu_affinity, self.slots, sorted(os.sched_getaffinity(0)))
        self._cuda_devices = hardware.cuda_device_count() if len(settings.available_accelerators) > 1 else 0
        self._packages = str(Path(tempfile.gettempdir()) / f"cnflow-{self.manager_id.hex()}-packages")
        self.area = NodeArea(self.manager_id, settings.working_dir, settings.node_cache)
        self._shared = _variable_of_results(settings)
        self._early: dict[WorkerRank, WorkerProcess] = {}

    def close(self) -> None:
        """Remove what workers have unpacked, once they have ended."""
        shutil.rmtree(self._packages, ignore_errors=True)
        if self._shared:
            shared_values.remove_results_of_killed_drivers()
        self.area.leave()

    def start_early(self) -> None:
        """Start the first worker of each rank, while the manager still imports its own modules.

        Stops at the first one that cannot be started: the manager's loop tries again.
        """
        for rank in map(WorkerRank, range(self.slots)):
            try:
                self._early[rank] = self.start(rank, (rank,) if self._settings.available_accelerators else ())
            except OutOfProcessesError:
                return

    def start(self, rank: WorkerRank, accelerators: Sequence[int]) -> WorkerProcess:
        """Start the worker of *rank*, or return the one that was started early.

        Args:
            rank: of the worker on its node.
            accelerators: that it sees, by their positions among the available ones.
        """
        early = self._early.pop(rank, None)
        if early is not None:
            return early
        names = self._settings.available_accelerators
        cores = self._cores[rank] if self._cores else []
        environment = {
            **os.environ,
            **identity_variables(os.environ, self._settings.image),
            "CNFLOW_WORKER_EXECUTOR": self._settings.executor,
            "CNFLOW_WORKER_IMAGE": self._settings.image,
            FOLDER_VARIABLE: self._packages,
            script_arguments.VARIABLE: script_arguments.encode(self._settings.argv),
            **self.area.variables,
            **self._shared,
            **worker_variables(rank, self.slots, self.manager_id, self._settings.block),
            **core_variables(cores),
            **accelerator_variables(accelerators, names, self.slots, self._cuda_devices),
        }
        sandbox = str(Path(tempfile.gettempdir()) / f"cnflow-{self.manager_id.hex()}-{rank}")
        with hardware.core_affinity(cores):
            worker = WorkerProcess(
                rank,
                self._settings.worker_python,
                environment,
                self._settings.working_dir or None,
                sandbox,
                self._output.write,
            )
        if self._log is not None:
            worker.print_to(self._log)
        if self._open_files is not None:
            set_open_file_limit(worker.pid, self._open_files)
        return worker


def _variable_of_results(settings: ManagerSettings) -> dict[str, str]:
    """Variable of workers that leave large results in memory, where the driver shares it; else empty."""
    if not shares_memory(settings.driver_memory):
        return {}
    shared_values.remove_results_of_killed_drivers()
    prefix = shared_values.results_prefix(settings.driver_memory)
    return {shared_values.VARIABLE: f"{settings.largest_result} {prefix}"}
