"""Settings of monitoring: what is recorded of a run, and in which database."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from cnflow.config.base import Settings
from cnflow.config.quantities import Duration


class MonitoringHub(Settings):
    """Records a run in a database: its tasks, tries, states, files, blocks, nodes, images, errors and resources.

    ``Config(monitoring=True)`` is the same with every default. `cnflow monitor` shows what is recorded.
    """

    backend: ClassVar[str] = "cnflow.monitoring.sinks.database:DatabaseSink"
    extra: ClassVar[str] = "monitoring"
    packages: ClassVar[tuple[str, ...]] = ("alembic", "sqlalchemy")

    workflow_name: str | None = None
    """Name of the run among others; None is the name of the script."""

    workflow_version: str | None = None
    """Version of the workflow; None is the time at which the run begins."""

    logging_endpoint: str | None = None
    """URL of the database: ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``. ``~`` and variables
    (``$PASSWORD``) are replaced when a run begins, so that no file needs to hold a password. None is the file
    ``monitoring.db`` in `Config.run_dir`, which holds every run of that folder."""

    resource_monitoring_enabled: bool = True
    """Measure what tasks, workers and nodes use: CPU, memory, disk, GPUs."""

    resource_monitoring_interval: Duration = Field(default=30.0, ge=0)
    """Seconds between two measurements; 0 measures once, at the end of each task, which is done in any case."""

    writer_timeout: Duration = Field(default=30.0, ge=0)
    """Seconds that the end of a run waits until all is in the database. What is missing then is written by a process
    that goes on by itself; the log tells how much that is."""

    monitoring_debug: bool = False
    """Let the process that writes the database log what it does, from DEBUG on."""

    hub_address: str | None = None
    """Not used: events take the connections that a run has anyway. This and the next are Parsl's options."""

    hub_port: int | None = None
    """Not used."""

    hub_port_range: Any = None
    """Not used."""

    hub_zmq_port_range: Any = None
    """Not used."""

    client_address: str | None = None
    """Not used."""

    client_port_range: Any = None
    """Not used."""

    logdir: str | None = None
    """Not used: the log of the writer is ``monitoring.log`` in the run's folder."""

    @property
    def sample_interval(self) -> float | None:
        """Seconds between samples of what tasks use; 0 for one at their end, None for none."""
        return self.resource_monitoring_interval if self.resource_monitoring_enabled else None
