"""Settings of the provider for LSF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from cnflow.config.batch import BatchSettings

if TYPE_CHECKING:
    from cnflow.model.traits import Traits


class LSFProvider(BatchSettings):
    """Blocks are jobs of IBM Spectrum LSF 10.1 or newer."""

    dialect: ClassVar[str] = "cnflow.providers.batch.lsf:DIALECT"
    kind: Literal["lsf"] = "lsf"
    queue: str | None = None
    """Queue; None is the site's default."""

    project: str | None = None
    """Project that is charged (``-P``); None is the user's default."""

    user_group: str | None = None
    """User group whose share is used (``-G``)."""

    application: str | None = None
    """Application profile (``-app``)."""

    request_by_nodes: bool = True
    """Ask for whole nodes (``-nnodes``), as Summit and its like want it. False asks for cores (``-n``), where a site's
    LSF has no ``-nnodes``: set `cores_per_node`, too."""

    cores_per_node: Annotated[int, Field(ge=1)] | None = None
    """Cores of each node: asked for where `request_by_nodes` is False, and a limit of the workers' cores always."""

    gpus_per_node: Annotated[int, Field(ge=1)] | None = None
    """GPUs of each node (``-gpu num=``), where the site does not give all of a node's."""

    def traits(self) -> Traits:
        """Traits of jobs of LSF."""
        return super().traits()._replace(cores=None if self.cores_per_node is None else float(self.cores_per_node))
