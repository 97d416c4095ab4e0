"""Settings of the providers for PBS Professional and OpenPBS, and for Torque."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from cnflow.config.batch import BatchSettings
from cnflow.config.several_nodes import started_by_mpiexec


class PBSSettings(BatchSettings):
    """Options that the schedulers of the PBS family share."""

    directive: ClassVar[str] = "#PBS"
    queue: str | None = None
    """Queue; None is the site's default."""

    account: str | None = None
    """Account that is charged; None is the user's default."""

    cpus_per_node: Annotated[int, Field(ge=1)] = 1
    """CPUs to ask for on each node."""

    gpus_per_node: Annotated[int, Field(ge=1)] | None = None
    """GPUs to ask for on each node."""

    exclusive: bool = False
    """Ask for nodes that run no other job."""

    @model_validator(mode="before")
    @classmethod
    def _several_nodes_start_by_mpiexec(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the user passed
        return started_by_mpiexec(data)


class PBSProProvider(PBSSettings):
    """Blocks are jobs of PBS Professional or OpenPBS."""

    dialect: ClassVar[str] = "cnflow.providers.batch.pbspro:PBS_PRO"
    kind: Literal["pbspro"] = "pbspro"
    project: str | None = None
    """Project by which the site sorts its accounts (``-P``); None is the user's default."""

    select_options: str = ""
    """Further resources of each node, as in a chunk of ``-l select``: ``"mem=64gb:ngpus=1"``."""


class TorqueProvider(PBSSettings):
    """Blocks are jobs of Torque, or of a scheduler with its commands."""

    dialect: ClassVar[str] = "cnflow.providers.batch.torque:TORQUE"
    kind: Literal["torque"] = "torque"
    node_properties: str = ""
    """Properties that nodes must have, with colons between them: ``"bigmem:gpu"``."""

    qos: str | None = None
    """Quality of service, of sites with Moab or Maui."""
