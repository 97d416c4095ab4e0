"""Settings of the provider for Cobalt."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cnflow.config.batch import BatchSettings
from cnflow.config.quantities import Duration


class CobaltProvider(BatchSettings):
    """Blocks are jobs of Cobalt, the scheduler of Theta, Cooley and the Blue Genes."""

    dialect: ClassVar[str] = "cnflow.providers.batch.cobalt:DIALECT"
    kind: Literal["cobalt"] = "cobalt"
    walltime: Annotated[Duration, Field(gt=0)] | None = 600.0
    """Seconds, or ``"HH:MM:SS"``, after which a block ends; Cobalt takes no job without."""

    queue: str | None = None
    """Queue; None is ``default``."""

    account: str | None = None
    """Project that is charged (``-A``); None is the user's default."""

    attributes: str | None = None
    """Attributes of the job (``--attrs``), such as ``"mcdram=cache:numa=quad"``."""
