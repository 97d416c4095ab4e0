"""`Config`: the one value that `cnflow.load` takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator

from cnflow.config.base import Settings
from cnflow.config.executors import ExecutorSettings, ThreadPoolExecutor
from cnflow.config.registry import EXECUTORS, parse_kind

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

    ignore_images: bool = False
    """Run every app on the bare node whatever its image, as where no engine is."""

    run_dir: str = "runinfo"
    """Folder in which each run makes its own numbered one."""

    @field_validator("executors")
    @classmethod
    def _labels_are_unique(cls, executors: list[ExecutorSettings]) -> list[ExecutorSettings]:
        labels = [executor.label for executor in executors]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"two executors are labelled {twice[0]!r}; give each its own label")
        return executors
