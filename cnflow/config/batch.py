"""Settings that the providers of all batch schedulers share: a block is a job of one or more nodes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from cnflow.config.channels import AnyChannel, LocalChannel
from cnflow.config.interchange_place import SiteAddress
from cnflow.config.launchers import AnyLauncher, SimpleLauncher
from cnflow.config.providers import ProviderSettings
from cnflow.config.quantities import Duration
from cnflow.config.runtimes import AnyRuntime, AutoRuntime
from cnflow.config.variables import Variables
from cnflow.model.traits import CapsuleVia, Delivery, LogsVia, NodesVia, Traits
from cnflow.model.visible_files import VisibleFiles
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from cnflow.model.image import Image


class SiteSettings(ProviderSettings):
    """Options of every provider whose blocks run at a site: machines that are reached by a channel."""

    channel: AnyChannel = Field(default_factory=LocalChannel)
    """Way to the machine on which the site's commands run: this one, or a login node by ``SSHChannel(...)``."""

    site_dir: str = "~/.cnflow"
    """Folder on a file system that the login node and all nodes share. cnflow keeps its own code, settings of blocks
    and their output there; ``~`` and variables are the site's."""

    image_cache_dir: str | None = None
    """Folder at the site for images, which several users may share; None is ``images`` in `site_dir`. ``~`` and
    variables are those of the login node."""

    node_image_dir: str = ""
    """Folder on each node, such as ``/tmp/cnflow-images`` or ``$TMPDIR``, to which its first job copies an image that
    is one file (a SIF, an archive), so that its containers read it from there; empty reads it from
    `image_cache_dir`. A node without room there does that, too."""

    runtime: AnyRuntime = Field(default_factory=AutoRuntime)
    """How an image becomes a container on a node: settings such as ``ApptainerRuntime()``, or a kind; ``"auto"`` takes
    the first runtime that the node has."""

    python: str | None = None
    """Interpreter at the site that runs workers on the bare node; None is the driver's own where the channel is local,
    else the site's ``python3`` if it is one of 3.8 or newer, else one that cnflow carries along."""

    environment: Variables = Field(default_factory=dict)
    """Variables added to the workers' environment."""

    worker_init: str = ""
    """Shell commands that run on the first node before the workers, such as ``module load``."""

    cmd_timeout: Duration = Field(default=60.0, gt=0)
    """Seconds within which a command at the site must answer."""

    def site(self) -> SiteAddress:
        """The machine of `channel`."""
        return SiteAddress(self.channel, self.site_dir)

    def traits(self) -> Traits:
        """Traits of blocks at a site."""
        return Traits(
            runs_images=self.runtime.kind != "none",
            runs_bare=True,
            delivery=Delivery.SHARED_FILE,
            capsule=CapsuleVia.SHARED_DIR,
            logs=LogsVia.SHARED_FILE if self.channel.kind == "local" else LogsVia.ON_REQUEST,
        )

    def visible_files(self, folders: Sequence[str]) -> VisibleFiles | None:
        """None where the script runs at the site; else none of its files, and what the site's own paths name."""
        if self.channel.kind == "local":
            return super().visible_files(folders)
        return VisibleFiles((), ("/",), "The script runs elsewhere: name files of the site by their paths there.")

    def for_image(self, image: Image) -> Self:
        """A copy whose runtime has the options of *image*, which win."""
        runtime = self.runtime.for_image(image) if image else self.runtime
        return self if runtime is self.runtime else self.model_copy(update={"runtime": runtime})


class BatchSettings(SiteSettings):
    """Options of every batch scheduler."""

    backend: ClassVar[str] = "cnflow.providers.batch.provider:BatchBackend"
    dialect: ClassVar[str] = ""
    """``module:object`` of the `cnflow.providers.batch.dialect.Dialect`."""

    directive: ClassVar[str] = ""
    """Begins the scheduler's lines in a script, such as ``#SBATCH``; empty: its lines begin with no such word."""

    launcher: AnyLauncher = Field(default_factory=SimpleLauncher)
    """Starts a manager on each node of a job."""

    scheduler_options: str = ""
    """Lines for the head of the submit script, as they are: ``#SBATCH --mem=4G``."""

    job_arrays: bool = True
    """Blocks that are asked for at once are one job array, where the scheduler has such; False submits a job for each,
    for sites that refuse arrays."""

    poll_period: Duration = Field(default=10.0, ge=1.0)
    """Seconds between two queries of the scheduler. Sites throttle users who ask more often than every 10 to 30 s."""

    notice: Duration = Field(default=30.0, ge=0)
    """Seconds before its end at which a job is told, where the scheduler can tell it: it accepts no more tasks then.
    0 gives no notice."""

    @field_validator("scheduler_options")
    @classmethod
    def _options_begin_with_the_directive(cls, value: str) -> str:
        """Refuse what the scheduler would take for a comment or a command of the script, and so not see."""
        word = cls.directive.lstrip("#")
        for line in value.splitlines() if word else ():
            if not line.startswith(cls.directive) and re.match(rf"\s*(-|#?\s*{re.escape(word)}(?!\w))", line):
                option = line.strip().lstrip("#").strip().removeprefix(word).strip()
                raise ValueError(f"{line!r}: the scheduler reads no such line. Write '{cls.directive} {option}'")
        return value

    @property
    def has_shared_files(self) -> bool:
        """True if nodes see `site_dir`; False if the scheduler has to bring `JobRequest.files` to each of them."""
        return True

    def managers_per_block(self) -> int:
        """Those that the launcher starts."""
        return self.launcher.managers(self.nodes_per_block)

    def traits(self) -> Traits:
        """Traits of jobs."""
        return (
            super()
            .traits()
            ._replace(
                nodes=NodesVia.LAUNCHER,
                poll_period=Seconds(self.poll_period),
                status_lag=Seconds(60.0),
                submits_per_second=10.0,
                submit_at_once=100,
            )
        )
