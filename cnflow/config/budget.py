"""Settings of a budget: how much a run, or a day of runs, may spend."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cnflow.budget.amounts import Limit, Terms
from cnflow.config.base import Settings
from cnflow.config.quantities import Duration
from cnflow.units import Seconds

_Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Budget(Settings):
    """Limits of what the blocks of a run cost. They hold: what runs is ended in time, its own end included.

    Prices are estimates: those of the table of prices (``cnflow cloud prices``), or `price_per_hour` of the provider. A
    provider of machines without either is refused where `usd` is set; every other costs nothing then.
    """

    usd: _Amount | None = None
    """US dollars."""

    core_hours: _Amount | None = None
    """Hours of one CPU core, used or not."""

    gpu_hours: _Amount | None = None
    """Hours of one GPU, used or not."""

    per: Literal["run", "day"] = "run"
    """``run``: what this run spends, also after it was taken over by ``cnflow.load(adopt=...)``. ``day``: what all runs
    in the same `Config.run_dir` spend from midnight to midnight, UTC."""

    drain_time: Duration = Field(default=60.0, ge=0)
    """Seconds that tasks get to end before the limit: so long before it, blocks take no further task. Those that run
    longer are lost with their block, so set it to the length of long tasks."""

    @property
    def limit(self) -> Limit:
        """The three limits."""
        return Limit(self.usd, self.core_hours, self.gpu_hours)

    @property
    def terms(self) -> Terms:
        """The same for what counts."""
        return Terms(self.limit, Seconds(self.drain_time), self.per == "day")

    @model_validator(mode="after")
    def _something_is_limited(self) -> Budget:
        if self.limit == Limit():
            raise ValueError("limits nothing: set usd, core_hours or gpu_hours, such as Budget(usd=5)")
        return self
