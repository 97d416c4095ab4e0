"""Parsl's providers for Slurm, Grid Engine, PBS Professional and Torque: with Parsl's parameters and defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cnflow.compat.parsl.batch_providers import ParslBatchSettings
from cnflow.compat.parsl.launchers import AprunLauncher
from cnflow.config import gridengine, pbs, slurm

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


class SlurmProvider(ParslBatchSettings, slurm.SlurmProvider):
    """`cnflow.config.SlurmProvider` with Parsl's parameters; memory is in GiB."""

    LABEL: ClassVar[str] = "slurm"
    POSITIONAL: ClassVar[tuple[str, ...]] = (
        "partition",
        "channel",
        "nodes_per_block",
        "cores_per_node",
        "mem_per_node",
        "init_blocks",
        "min_blocks",
        "max_blocks",
        "parallelism",
        "walltime",
        "scheduler_options",
        "worker_init",
        "cmd_timeout",
        "exclusive",
        "move_files",
        "launcher",
    )
    DEFAULTS: ClassVar[Mapping[str, Any]] = {"max_blocks": 10, "walltime": "00:10:00"}
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("move_files", "script_dir", "regex_job_id", "status_batch_size")

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslBatchSettings.translate`."""
        translated = super().translate(given)
        memory = translated.get("mem_per_node")
        if isinstance(memory, (int, float)):
            translated["mem_per_node"] = int(memory * 2**30)
        return translated


class TorqueProvider(ParslBatchSettings, pbs.TorqueProvider):
    """`cnflow.config.TorqueProvider` with Parsl's parameters."""

    LABEL: ClassVar[str] = "torque"
    POSITIONAL: ClassVar[tuple[str, ...]] = (
        "channel",
        "account",
        "queue",
        "scheduler_options",
        "worker_init",
        "nodes_per_block",
        "init_blocks",
        "min_blocks",
        "max_blocks",
        "parallelism",
        "launcher",
        "walltime",
        "cmd_timeout",
    )
    DEFAULTS: ClassVar[Mapping[str, Any]] = {"max_blocks": 1, "walltime": "00:20:00", "cmd_timeout": 120}
    LAUNCHER: ClassVar[Callable[[], object]] = AprunLauncher


class PBSProProvider(ParslBatchSettings, pbs.PBSProProvider):
    """`cnflow.config.PBSProProvider` with Parsl's parameters."""

    LABEL: ClassVar[str] = "pbspro"
    POSITIONAL: ClassVar[tuple[str, ...]] = (
        "channel",
        "account",
        "queue",
        "scheduler_options",
        "select_options",
        "worker_init",
        "nodes_per_block",
        "cpus_per_node",
        "init_blocks",
        "min_blocks",
        "max_blocks",
        "parallelism",
        "launcher",
        "walltime",
        "cmd_timeout",
    )
    DEFAULTS: ClassVar[Mapping[str, Any]] = {"max_blocks": 1, "walltime": "00:20:00", "cmd_timeout": 120}


class GridEngineProvider(ParslBatchSettings, gridengine.GridEngineProvider):
    """`cnflow.config.GridEngineProvider` with Parsl's parameters."""

    LABEL: ClassVar[str] = "grid_engine"
    POSITIONAL: ClassVar[tuple[str, ...]] = (
        "channel",
        "nodes_per_block",
        "init_blocks",
        "min_blocks",
        "max_blocks",
        "parallelism",
        "walltime",
        "scheduler_options",
        "worker_init",
        "launcher",
        "cmd_timeout",
        "queue",
    )
    DEFAULTS: ClassVar[Mapping[str, Any]] = {"max_blocks": 10, "walltime": "00:10:00"}
