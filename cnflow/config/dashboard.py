"""Settings of the dashboard of a run."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cnflow.config.base import Settings


class Dashboard(Settings):
    """Shows a run in a browser while it goes on; needs `Config.monitoring`, which it switches on.

    The address is printed on stderr when the run begins, and is in ``dashboard.url`` in the run's folder; where stderr
    is a file that others can read, it is printed without the token. The dashboard ends with the run; `cnflow monitor`
    shows runs that have ended.
    """

    backend: ClassVar[str] = "cnflow.monitoring.dashboard.process:DashboardProcess"
    extra: ClassVar[str] = "dashboard"
    packages: ClassVar[tuple[str, ...]] = ("jinja2", "sqlalchemy", "starlette", "uvicorn")

    listen: str = "127.0.0.1"
    """Address to listen on. The default is reached from this machine alone: from elsewhere, by ``ssh -L``."""

    port: int = Field(default=0, ge=0, le=65535)
    """Port to listen on; 0 is any that is free. A port that is taken is a warning, and the run goes on without."""

    token: str | None = Field(default=None, repr=False)
    """Token that a browser or a program has to bring; None is a new one for each run, an empty text lets everyone in
    who can reach the port."""

    host_names: list[str] = Field(default_factory=list)
    """Names by which browsers call this machine, where the token is empty; ``*`` is any."""

    read_only: bool = False
    """Only show: no task can be cancelled and no block be drained."""
