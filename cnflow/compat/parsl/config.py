"""Parsl's Config."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from cnflow import config
from cnflow.compat.parsl.executors import ThreadPoolExecutor
from cnflow.compat.parsl.logs import ParslFileLogging
from cnflow.compat.parsl.memo import Memoizer
from cnflow.compat.parsl.options import ParslSettings
from cnflow.errors import NotCoveredError

DISABLED, LEVEL_1, LEVEL_2, LEVEL_3 = range(4)
"""Amounts of data that `Config(usage_tracking=...)` sends."""

DEEP_DEPENDENCY_RESOLVER = "deep"
SHALLOW_DEPENDENCY_RESOLVER = "shallow"


class Config(ParslSettings, config.Config):
    """`cnflow.Config` with the parameters of Parsl 0.9 and of today's Parsl."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    POSITIONAL: ClassVar[tuple[str, ...]] = ("executors",)
    RENAMED: ClassVar[Mapping[str, str]] = {"data_management_max_threads": "internal_tasks_max_threads"}

    strategy_period: float = 5
    """Without effect: scaling reacts to events, not to a timer."""

    exit_mode: Literal["cleanup", "skip", "wait"] = "cleanup"
    memoizer: Memoizer | None = Field(default=None, exclude=True)

    @property
    def lazy_errors(self) -> bool:
        """Always True: the only value that is accepted."""
        return True

    @property
    def data_management_max_threads(self) -> int:
        """``internal_tasks_max_threads`` by its name in Parsl 0.9."""
        return self.internal_tasks_max_threads

    @model_validator(mode="after")
    def _check_usage_address(self) -> Config:
        """Accept usage tracking without an address: Parsl has a default one, cnflow then sends nothing."""
        return self

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`; a memoizer becomes fields, executors may be any iterable."""
        translated = super().translate(given)
        if not translated.pop("lazy_errors", True):
            raise NotCoveredError("Config(lazy_errors=False)", "errors are always lazy, as in today's Parsl")
        if translated.get("initialize_logging", True) is True:
            translated["initialize_logging"] = ParslFileLogging()
        translated["executors"] = list(translated.get("executors") or [ThreadPoolExecutor()])
        memoizer = translated.get("memoizer")
        if isinstance(memoizer, Memoizer):
            translated.update(memoizer.settings())
        return translated
