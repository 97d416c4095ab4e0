"""Parsl's executors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, SerializeAsAny

from cnflow.compat.parsl.monitoring import HTEXRadio, RadioConfig
from cnflow.compat.parsl.options import ParslSettings
from cnflow.compat.parsl.providers import LocalProvider
from cnflow.compat.parsl.resources import parse_specification
from cnflow.config import DockerProvider, ProviderSettings, executors
from cnflow.config.base import Settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class RandomManagerSelector(Settings):
    """Parsl's choice of a manager. Without effect: cnflow sends a task to the manager with the shortest queue."""


class _ParslExecutor(ParslSettings):
    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`; a path may be any PathLike."""
        translated = super().translate(given)
        if translated.get("working_dir") is not None:
            translated["working_dir"] = os.fspath(translated["working_dir"])
        return translated

    def __repr__(self) -> str:
        return super().__repr__()


class ThreadPoolExecutor(_ParslExecutor, executors.ThreadPoolExecutor):
    """`cnflow.config.ThreadPoolExecutor` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = (
        "label",
        "max_threads",
        "thread_name_prefix",
        "storage_access",
        "working_dir",
    )
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("managed",)

    remote_monitoring_radio: RadioConfig | None = Field(default=None, exclude=True)
    """Without effect: events take the connections that a run has anyway."""


class HighThroughputExecutor(_ParslExecutor, executors.HighThroughputExecutor):
    """`cnflow.config.HighThroughputExecutor` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("label", "provider")
    RENAMED: ClassVar[Mapping[str, str]] = {
        "max_workers_per_node": "max_workers",
        "worker_logdir_root": "block_log_dir",
    }
    WITHOUT_EFFECT: ClassVar[Collection[str]] = (
        "interchange_port_range",
        "loopback_address",
        "managed",
        "manager_selector",
        "poll_period",
        "suppress_failure",
        "worker_debug",
    )
    NOT_YET: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "block_error_handler": (True, False),
        "interchange_launch_cmd": (None,),
        "launch_cmd": (None,),
    }

    label: str = Field(default="HighThroughputExecutor", pattern=executors.LABEL)
    provider: SerializeAsAny[ProviderSettings] = Field(default_factory=LocalProvider)
    remote_monitoring_radio: RadioConfig | None = Field(default_factory=HTEXRadio, exclude=True)
    """Without effect: events take the connections that a run has anyway."""

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`, with ports, prefetching and an infinite number of workers."""
        translated = super().translate(given)
        port = translated.pop("worker_port", None)
        ports = translated.pop("worker_ports", None)
        port = ports[0] if port is None and ports else port
        if port is not None:
            translated["worker_port_range"] = (port, port)
        if translated.get("max_workers") == float("inf"):
            translated["max_workers"] = None
        prefetch = translated.pop("prefetch_capacity", 0)
        if prefetch:
            translated["prefetch"] = prefetch
        for name in ("provider", "address_probe_timeout"):
            if translated.get(name, ...) is None:
                del translated[name]
        return translated

    @staticmethod
    def validate_resource_spec(resource_specification: Mapping[str, Any]) -> None:
        """Check *resource_specification*.

        Raises:
            InvalidResourceSpecification: it has a key that workers do not know, or an invalid value; names it.
        """
        parse_specification(resource_specification)

    @property
    def max_workers_per_node(self) -> int | None:
        """``max_workers`` by the name that it has in today's Parsl."""
        return self.max_workers


def IPyParallelExecutor(  # noqa: N802 - Parsl's name
    provider: ProviderSettings | None = None,
    label: str = "ipp",
    **given: Any,  # noqa: ANN401 - Parsl's parameters
) -> HighThroughputExecutor:
    """Parsl 0.9's executor for containers, as a HighThroughputExecutor; ``container_image`` is its image."""
    for without_effect in ("controller", "engine_debug_level", "engine_dir", "managed"):
        given.pop(without_effect, None)
    image = given.pop("container_image", None) or ""
    if image:
        blocks = {name: getattr(provider, name) for name in _BLOCKS} if provider is not None else {}
        provider = DockerProvider(**blocks)
    return HighThroughputExecutor(
        label=label,
        provider=provider or LocalProvider(),
        image=image,
        max_workers=given.pop("workers_per_node", 1),
        **given,
    )


_BLOCKS = ("init_blocks", "max_blocks", "min_blocks", "nodes_per_block", "parallelism")
