"""Settings of the provider for Cobalt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from cnflow.config.batch import BatchSettings
from cnflow.config.launchers import AprunLauncher
from cnflow.config.quantities import Duration

if TYPE_CHECKING:
    from typing import Any


class CobaltProvider(BatchSettings):
    """Blocks are jobs of Cobalt, the scheduler of Theta, Cooley and the Blue Genes.

    For several nodes, `launcher` is ``AprunLauncher()`` where none is set.
    """

    dialect: ClassVar[str] = "cnflow.providers.batch.cobalt:DIALECT"
    directive: ClassVar[str] = "#COBALT"
    kind: Literal["cobalt"] = "cobalt"
    walltime: Annotated[Duration, Field(gt=0)] | None = 600.0
    """Seconds, or ``"HH:MM:SS"``, after which a block ends; Cobalt takes no job without."""

    queue: str | None = None
    """Queue; None is ``default``."""

    account: str | None = None
    """Project that is charged (``-A``); None is the user's default."""

    attributes: str | None = None
    """Attributes of the job (``--attrs``), such as ``"mcdram=cache:numa=quad"``."""

    @model_validator(mode="before")
    @classmethod
    def _several_nodes_start_by_aprun(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the user passed
        if isinstance(data, dict) and "launcher" not in data and data.get("nodes_per_block", 1) != 1:
            return {**data, "launcher": AprunLauncher()}
        return data
