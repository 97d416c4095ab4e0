"""Settings of the provider for Slurm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from cnflow.config.batch import BatchSettings
from cnflow.config.launchers import SrunLauncher
from cnflow.config.quantities import MemorySize

if TYPE_CHECKING:
    from typing import Any

    from cnflow.model.traits import Traits


class SlurmProvider(BatchSettings):
    """Blocks are jobs of Slurm: each has one or more nodes, on which workers run in a container or on the bare node."""

    dialect: ClassVar[str] = "cnflow.providers.batch.slurm:SLURM"
    directive: ClassVar[str] = "#SBATCH"
    kind: Literal["slurm"] = "slurm"
    partition: str | None = None
    """Partition, or several with commas between them; None is the site's default."""

    account: str | None = None
    """Account that is charged; None is the user's default."""

    qos: str | None = None
    """Quality of service; None is the default of account and partition."""

    constraint: str | None = None
    """Features that nodes must have, such as ``"haswell"`` or ``"a100&nvlink"``."""

    clusters: str | None = None
    """Cluster of a federation to which jobs go, if not the login node's own."""

    reservation: str | None = None
    """Reservation whose nodes are used."""

    exclusive: bool = True
    """Ask for whole nodes. False shares them: set `cores_per_node` and `mem_per_node` then."""

    cores_per_node: Annotated[int, Field(ge=1)] | None = None
    """CPUs of each node; None is all of an exclusive node, else the site's default."""

    mem_per_node: MemorySize | None = None
    """Memory of each node: bytes, or a number with a unit such as ``"64g"``; None is the site's default."""

    gpus_per_node: Annotated[int, Field(ge=1)] | str | None = None
    """GPUs of each node: a number, or a type and a number such as ``"a100:4"``."""

    gres: str | None = None
    """Other generic resources of each node, such as ``"nvme:1"``."""

    @model_validator(mode="before")
    @classmethod
    def _several_nodes_start_by_srun(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the user passed
        if isinstance(data, dict) and "launcher" not in data and data.get("nodes_per_block", 1) != 1:
            return {**data, "launcher": SrunLauncher()}
        return data

    @property
    def node_gpus(self) -> float:
        """Those that are asked for."""
        number = str(self.gpus_per_node or 0).rpartition(":")[2]
        return float(number) if number.isdigit() else 0.0

    def traits(self) -> Traits:
        """Traits of jobs of Slurm."""
        return super().traits()._replace(cores=None if self.cores_per_node is None else float(self.cores_per_node))
