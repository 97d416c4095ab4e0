"""Parsl's providers for HTCondor, LSF and Cobalt, and the base of all of batch schedulers: with Parsl's parameters.

::

    CondorProvider(mem_per_slot=2.0, ...) ──translate──> mem_per_slot=2147483648     GB in Parsl, bytes in cnflow
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, ClassVar

from cnflow.compat.parsl.channels import LocalChannel
from cnflow.compat.parsl.launchers import AprunLauncher, SingleNodeLauncher, check_launcher
from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import cobalt, condor, lsf
from cnflow.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


class ParslBatchSettings(ParslSettings):
    """Parameters that these providers share in Parsl; None and an empty text stand for defaults, as there."""

    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("move_files", "script_dir", "cmd_chunk_size", "bsub_redirection")
    DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    """Parsl's defaults where cnflow has others."""

    LAUNCHER: ClassVar[Callable[[], object]] = SingleNodeLauncher
    """Makes the default of the launcher."""

    LABEL: ClassVar[str] = ""

    directive: ClassVar[str]
    """See `cnflow.config.batch.BatchSettings`."""

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`; ``max_blocks`` is at least ``init_blocks``, as in Parsl's effect."""
        set_by_user = {name: value for name, value in given.items() if value is not None}
        translated = super().translate({"launcher": cls.LAUNCHER(), **cls.DEFAULTS, **set_by_user})
        check_launcher(translated.get("launcher"))
        if isinstance(translated.get("channel"), LocalChannel):
            del translated["channel"]
        if isinstance(lines := translated.get("scheduler_options"), str) and cls.directive:
            translated["scheduler_options"] = re.sub(rf"(?m)^[ \t]+(?={re.escape(cls.directive)})", "", lines)
        most, first = translated.get("max_blocks"), translated.get("init_blocks", 1)
        if isinstance(most, int) and isinstance(first, int):
            translated["max_blocks"] = max(most, first)
        return {name: value for name, value in translated.items() if value is not None and value != ""}

    @property
    def label(self) -> str:
        """Parsl's name of this kind of provider."""
        return self.LABEL


class CondorProvider(ParslBatchSettings, condor.CondorProvider):
    """`cnflow.config.CondorProvider` with Parsl's parameters."""

    LABEL: ClassVar[str] = "condor"
    POSITIONAL: ClassVar[tuple[str, ...]] = (
        "channel",
        "nodes_per_block",
        "cores_per_slot",
        "mem_per_slot",
        "init_blocks",
        "min_blocks",
        "max_blocks",
        "parallelism",
        "environment",
        "project",
        "scheduler_options",
        "transfer_input_files",
        "walltime",
        "worker_init",
        "launcher",
        "requirements",
        "cmd_timeout",
    )
    DEFAULTS: ClassVar[Mapping[str, Any]] = {"max_blocks": 10, "walltime": "00:10:00"}

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate Parsl's GB, which are GiB."""
        translated = super().translate(given)
        memory = translated.get("mem_per_slot")
        if isinstance(memory, int | float):
            translated["mem_per_slot"] = int(memory * GIB)
        return translated


class LSFProvider(ParslBatchSettings, lsf.LSFProvider):
    """`cnflow.config.LSFProvider` with Parsl's parameters."""

    LABEL: ClassVar[str] = "LSF"
    DEFAULTS: ClassVar[Mapping[str, Any]] = {"max_blocks": 10, "walltime": "00:10:00", "cmd_timeout": 120}

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate the cores of a block to cores of its nodes, or to nodes."""
        translated = super().translate(given)
        cores = translated.pop("cores_per_block", None)
        if cores is not None and not translated.get("request_by_nodes", True):
            if "cores_per_node" in translated:
                translated["nodes_per_block"] = math.ceil(cores / translated["cores_per_node"])
            else:
                translated["cores_per_node"] = math.ceil(cores / translated.get("nodes_per_block", 1))
        return translated


class CobaltProvider(ParslBatchSettings, cobalt.CobaltProvider):
    """`cnflow.config.CobaltProvider` with Parsl's parameters."""

    LABEL: ClassVar[str] = "cobalt"
    POSITIONAL: ClassVar[tuple[str, ...]] = (
        "channel",
        "nodes_per_block",
        "init_blocks",
        "min_blocks",
        "max_blocks",
        "parallelism",
        "walltime",
        "account",
        "queue",
        "scheduler_options",
        "worker_init",
        "launcher",
        "cmd_timeout",
    )
    DEFAULTS: ClassVar[Mapping[str, Any]] = {"init_blocks": 0, "max_blocks": 10, "walltime": "00:10:00"}
    LAUNCHER: ClassVar[Callable[[], object]] = AprunLauncher
