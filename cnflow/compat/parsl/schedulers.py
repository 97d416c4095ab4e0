"""Parsl's providers for batch schedulers: cnflow's with Parsl's parameters and defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cnflow.compat.parsl.launchers import AprunLauncher, SingleNodeLauncher, check_launcher
from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import gridengine, pbs, slurm
from cnflow.config.channels import ChannelSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


class ParslScheduler(ParslSettings):
    """Mixin for the provider of a scheduler."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    """Parsl's defaults where cnflow has others."""

    LAUNCHER: ClassVar[Callable[[], object]] = SingleNodeLauncher
    """Makes Parsl's default of the launcher."""

    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("move_files", "script_dir")

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`; ``max_blocks`` is at least ``init_blocks``, as in Parsl's effect."""
        translated = {**cls.DEFAULTS, **super().translate(given)}
        if check_launcher(translated.get("launcher")) is None:
            translated["launcher"] = cls.LAUNCHER()
        if not isinstance(translated.get("channel"), ChannelSettings):
            translated.pop("channel", None)  # that of this machine
        most, first = translated.get("max_blocks"), translated.get("init_blocks", 1)
        if isinstance(most, int) and isinstance(first, int):
            translated["max_blocks"] = max(most, first)
        return translated


class SlurmProvider(ParslScheduler, slurm.SlurmProvider):
    """`cnflow.config.SlurmProvider` with Parsl's parameters; memory is in GiB."""

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
    )
    DEFAULTS: ClassVar[Mapping[str, Any]] = {"max_blocks": 10, "walltime": "00:10:00"}
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("move_files", "script_dir", "regex_job_id", "status_batch_size")

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslScheduler.translate`."""
        translated = super().translate(given)
        memory = translated.get("mem_per_node")
        if isinstance(memory, (int, float)):
            translated["mem_per_node"] = int(memory * 2**30)
        return translated

    @property
    def label(self) -> str:
        """Parsl's name of this kind of provider."""
        return "slurm"


class TorqueProvider(ParslScheduler, pbs.TorqueProvider):
    """`cnflow.config.TorqueProvider` with Parsl's parameters."""

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

    @property
    def label(self) -> str:
        """Parsl's name of this kind of provider."""
        return "torque"


class PBSProProvider(ParslScheduler, pbs.PBSProProvider):
    """`cnflow.config.PBSProProvider` with Parsl's parameters."""

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

    @property
    def label(self) -> str:
        """Parsl's name of this kind of provider."""
        return "pbspro"


class GridEngineProvider(ParslScheduler, gridengine.GridEngineProvider):
    """`cnflow.config.GridEngineProvider` with Parsl's parameters."""

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

    @property
    def label(self) -> str:
        """Parsl's name of this kind of provider."""
        return "grid_engine"
