"""Settings of the provider for LSF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from cnflow.config.batch import BatchSettings
from cnflow.config.launchers import JsrunLauncher

if TYPE_CHECKING:
    from typing import Any

    from cnflow.model.traits import Traits


class LSFProvider(BatchSettings):
    """Blocks are jobs of IBM Spectrum LSF 10.1 or newer, on whole nodes or on cores of them.

    For several nodes that are asked for as a whole, `launcher` is ``JsrunLauncher()`` where none is set.
    """

    dialect: ClassVar[str] = "cnflow.providers.batch.lsf:DIALECT"
    directive: ClassVar[str] = "#BSUB"
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

    @model_validator(mode="before")
    @classmethod
    def _whole_nodes_start_by_jsrun(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the user passed
        if isinstance(data, dict) and "launcher" not in data and data.get("nodes_per_block", 1) != 1:
            return {**data, "launcher": JsrunLauncher()} if data.get("request_by_nodes", True) else data
        return data

    def traits(self) -> Traits:
        """Traits of jobs of LSF."""
        return super().traits()._replace(cores=None if self.cores_per_node is None else float(self.cores_per_node))
