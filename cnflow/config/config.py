"""`Config`: the one value that `cnflow.load` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator

from cnflow.checkpoints import seconds_of_period
from cnflow.config.base import Settings
from cnflow.config.executors import ExecutorSettings, ThreadPoolExecutor
from cnflow.config.registry import EXECUTORS, parse_kind

RetryHandler = Callable[[BaseException, Any], float]
_AnyExecutor = Annotated[
    SerializeAsAny[ExecutorSettings],
    BeforeValidator(lambda value: parse_kind(value, EXECUTORS, "executor")),
]


class Config(Settings):
    """How a run works: which executors, how often to retry, where its records go."""

    executors: list[_AnyExecutor] = Field(
        default_factory=lambda: list[ExecutorSettings]([ThreadPoolExecutor()]), min_length=1
    )
    """What runs tasks. The first one without an image whose provider starts containers is the template from which an
    executor is made for each image that has none."""

    retries: int = Field(default=0, ge=0)
    """How often a task that failed is tried again."""

    app_cache: bool = True
    """False runs every task, whatever its app says of ``cache``."""

    checkpoint_mode: Literal["task_exit", "periodic", "dfk_exit", "manual"] | None = None
    """When results of apps with ``cache=True`` are written to the run's folder; None never writes."""

    checkpoint_period: str | float | None = None
    """For the mode periodic: "HH:MM:SS" or seconds; None is half an hour."""

    checkpoint_files: list[str] | None = None
    """Checkpoints of earlier runs whose results are known from the start; see `cnflow.checkpoints`."""

    retry_handler: RetryHandler | None = Field(default=None, exclude=True)
    """Called with a failed try's exception and its task; returns what the failure costs of the `retries`: 0 is free, 1
    the default, more than is left ends the task. Not part of a configuration file."""

    std_autopath: Callable[[Any, str], Any] | None = Field(default=None, exclude=True)
    """Called with a task and ``stdout`` or ``stderr`` where that is AUTO_LOGNAME; returns the path. Not part of a
    configuration file."""

    ignore_images: bool = False
    """Run every app on the bare node whatever its image, as where no engine is."""

    initialize_logging: bool = False
    """Write what cnflow logs, from INFO on, to ``cnflow.log`` in the run's folder."""

    run_dir: str = "runinfo"
    """Folder in which each run makes its own numbered one."""

    @field_validator("executors", mode="before")
    @classmethod
    def _executors_are_listed(cls, executors: object) -> object:
        if isinstance(executors, ExecutorSettings):
            raise ValueError("a list is wanted: write executors=[...], also for a single one")  # noqa: TRY004 - as pydantic wants
        return executors

    @field_validator("checkpoint_period")
    @classmethod
    def _period_can_be_read(cls, period: str | float | None) -> str | float | None:
        if period is not None:
            seconds_of_period(period)
        return period

    @field_validator("executors")
    @classmethod
    def _labels_are_unique(cls, executors: list[ExecutorSettings]) -> list[ExecutorSettings]:
        labels = [executor.label for executor in executors]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"two executors are labelled {twice[0]!r}; give each its own label")
        return executors
