"""Settings of the provider for pools of HTCondor."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from cnflow.config.batch import BatchSettings
from cnflow.config.quantities import Bytes
from cnflow.model.traits import CapsuleVia, Delivery, Traits
from cnflow.model.visible_files import VisibleFiles

if TYPE_CHECKING:
    from collections.abc import Sequence


class CondorProvider(BatchSettings):
    """Blocks are jobs of an HTCondor pool, each in a slot of a machine; the pool needs no shared file system.

    HTCondor brings cnflow's code and the block's settings to the slot. A job that is evicted ends there; its tasks run
    elsewhere.
    """

    dialect: ClassVar[str] = "cnflow.providers.batch.condor:DIALECT"
    max_nodes: ClassVar[int | None] = 1
    kind: Literal["condor"] = "condor"
    cores_per_slot: int | None = Field(default=None, ge=1)
    """Cores of a slot (``request_cpus``); None leaves them to the pool, which is often 1."""

    mem_per_slot: Bytes | None = Field(default=None, gt=0)
    """Memory of a slot in bytes, or as ``"4GB"`` (``request_memory``); None leaves it to the pool."""

    disk_per_slot: Bytes | None = Field(default=None, gt=0)
    """Disk of a slot in bytes, or as ``"10GB"`` (``request_disk``); None leaves it to the pool."""

    gpus_per_slot: int | None = Field(default=None, ge=1)
    """GPUs of a slot (``request_gpus``)."""

    requirements: str = ""
    """Expression that a machine must satisfy, such as ``OSGVO_OS_STRING == "RHEL 9" && HAS_MODULES``."""

    project: str = ""
    """Project that is charged, as the Open Science Pool wants it (the job's attribute ``ProjectName``)."""

    accounting_group: str = ""
    """Group whose share of the pool is used (``accounting_group``)."""

    transfer_input_files: list[str] = Field(default_factory=list)
    """Further files and folders on the submit machine that each job finds in its first folder; URLs, where the pool
    has a plugin for them."""

    shared_files: bool = False
    """True if all machines of the pool see `site_dir` and the folders of the script: nothing is brought to them."""

    schedd: str | None = None
    """Name of the job queue, where the submit machine has several or none of its own (``-name``)."""

    pool: str | None = None
    """Address of the pool's collector, if it is not the submit machine's own (``-pool``)."""

    @field_validator("scheduler_options")
    @classmethod
    def _queue_is_cnflows(cls, value: str) -> str:
        for line in value.splitlines():
            if line.split()[:1] and line.split()[0].lower() == "queue":
                raise ValueError(f"{line!r}: cnflow adds the queue statement itself; leave it out and set max_blocks")
        return value

    @property
    def has_shared_files(self) -> bool:
        """What `shared_files` says."""
        return self.shared_files

    def visible_files(self, folders: Sequence[str]) -> VisibleFiles | None:
        """None of this machine's where the pool shares none; CVMFS is the same everywhere."""
        if self.shared_files:
            return super().visible_files(folders)
        advice = (
            "Slots of the pool see no file of another machine: return results, fetch inputs from a URL, or bring them "
            "by CondorProvider(transfer_input_files=[...]). Set shared_files=True if the whole pool shares them."
        )
        return VisibleFiles((), ("/cvmfs",), advice)

    def traits(self) -> Traits:
        """Traits of jobs in a pool."""
        traits = super().traits()
        if self.cores_per_slot is not None:
            traits = traits._replace(cores=float(self.cores_per_slot))
        if self.shared_files:
            return traits
        return traits._replace(delivery=Delivery.PUT_FILE, capsule=CapsuleVia.PUT)
