"""Reads the database of monitoring: the one place that dashboard, commands and reports ask.

::

    Reader(URL) ──runs, run, tasks, task, ...──> values of `views`

Every question is bounded: lists have a limit, and pages go by key, so that a run of a million tasks answers as fast
as one of a hundred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.monitoring.queries import views


class Reader:
    """Answers questions about the runs of one database.

    Args:
        url: of SQLAlchemy, such as ``sqlite:///runinfo/monitoring.db``; a path is a file of SQLite.

    Raises:
        ConfigurationError: there is no such database, or it is not one of monitoring, or of another schema.
    """

    def __init__(self, url: str) -> None:
        raise NotImplementedError

    def runs(self, *, text: str = "", state: str = "", limit: int = 100, before: str = "") -> Sequence[views.RunView]:
        """Return runs, newest first; *text* is searched in name, script, folder, host and user."""
        raise NotImplementedError

    def run(self, run: str) -> views.RunView:
        """Return the run with the id, the folder or the number *run* (such as ``007``); "" is the newest.

        Raises:
            ConfigurationError: there is none; the nearest are named.
        """
        raise NotImplementedError

    def apps(self, run: str) -> Sequence[views.AppView]:
        """Return counts of states by app."""
        raise NotImplementedError

    def states(self, run: str) -> dict[str, int]:
        """Return counts of tasks by state."""
        raise NotImplementedError

    def steps(self, run: str, *, points: int = 600, app: str = "") -> Sequence[views.Step]:
        """Return the progress of a run in at most *points* equal intervals."""
        raise NotImplementedError

    def tasks(
        self, run: str, *, where: TaskFilter, limit: int = 100, after: int | None = None, before: int | None = None
    ) -> views.Page:
        """Return tasks by id, those after *after* or the last before *before*."""
        raise NotImplementedError

    def task(self, run: str, task: int) -> views.TaskDetail:
        """Return everything about one task.

        Raises:
            ConfigurationError: the run has no such task.
        """
        raise NotImplementedError

    def samples(self, run: str, task: int, *, points: int = 600) -> Sequence[views.SampleView]:
        """Return the resources of a task over time."""
        raise NotImplementedError

    def node_samples(self, run: str, manager: str, *, points: int = 600) -> Sequence[views.SampleView]:
        """Return the resources of a node over time."""
        raise NotImplementedError

    def blocks(self, run: str) -> Sequence[views.BlockView]:
        """Return the blocks, newest first."""
        raise NotImplementedError

    def nodes(self, run: str, *, limit: int = 10_000) -> Sequence[views.NodeView]:
        """Return the managers."""
        raise NotImplementedError

    def images(self, run: str) -> Sequence[views.ImageView]:
        """Return the images."""
        raise NotImplementedError

    def files(self, run: str, *, text: str = "", limit: int = 200, after: int = -1) -> Sequence[views.FileView]:
        """Return files by task, those of tasks after *after*; *text* is searched in the URL."""
        raise NotImplementedError

    def errors(self, run: str, *, limit: int = 200) -> Sequence[views.ErrorGroup]:
        """Return causes of failures, the most frequent first."""
        raise NotImplementedError

    def bars(
        self, run: str, *, start: float | None = None, end: float | None = None, limit: int = 5_000
    ) -> Sequence[views.Bar]:
        """Return what each worker did between *start* and *end*, short tries put together to at most *limit*."""
        raise NotImplementedError

    def graph(self, run: str, *, grouping: str = "", limit: int = 10_000) -> views.Graph:
        """Return the graph of tasks, by app where it has more than *limit* tasks."""
        raise NotImplementedError

    def usage(self, run: str) -> Sequence[views.Usage]:
        """Return asked and used resources by app, with advice."""
        raise NotImplementedError

    def change(self) -> object:
        """Return a value that differs once the database was written to; costs next to nothing."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connections."""
        raise NotImplementedError


class TaskFilter:
    """Which tasks; made by `cnflow.monitoring.queries.filters`."""
