"""Settings of the provider for Grid Engine."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from cnflow.config.batch import BatchSettings
from cnflow.config.several_nodes import started_by_mpiexec


class GridEngineProvider(BatchSettings):
    """Blocks are jobs of Grid Engine: Sun's, Son of, Open, Univa's and Altair's."""

    dialect: ClassVar[str] = "cnflow.providers.batch.gridengine:GRID_ENGINE"
    directive: ClassVar[str] = "#$"
    kind: Literal["gridengine"] = "gridengine"
    queue: str | None = None
    """Queue, or several with commas between them; None leaves the choice to the scheduler."""

    project: str | None = None
    """Project that is charged; None is the user's default."""

    parallel_environment: str | None = None
    """Parallel environment that gives the slots (``qconf -spl`` lists them); needed for more than one slot."""

    slots_per_node: Annotated[int, Field(ge=1)] = 1
    """Slots of each node, which stand for CPUs. A block asks for `nodes_per_block` times as many; that they lie on as
    many nodes is up to the parallel environment's allocation rule."""

    resources: dict[str, str | int] = Field(default_factory=dict)
    """Resources to ask for by ``-l``, such as ``{"gpu": 1, "mem_free": "4G"}``; memory counts per slot."""

    verify: bool = True
    """Let a job be refused at once if no queue can ever run it (``-w e``); False lets it wait, for sites whose nodes
    and resources come and go."""

    @model_validator(mode="before")
    @classmethod
    def _several_nodes_start_by_mpiexec(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the user passed
        return started_by_mpiexec(data)
