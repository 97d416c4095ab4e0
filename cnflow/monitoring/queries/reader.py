"""Reads the database of monitoring: the one place that dashboard, commands and reports ask.

::

    Reader(URL) ──runs, run, tasks, task, ...──> values of `views`

Every question is bounded: lists have a limit, and pages go by key, so that a run of a million tasks answers as fast
as one of a hundred. A question about a run takes its id, its folder or its number. The database is gone, or is
replaced: the question raises ConfigurationError, and the next that finds one again is answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cnflow.monitoring.queries import graphs, models, places, runs, tasks, usage_by_app, workers
from cnflow.monitoring.queries.answers import Answers
from cnflow.monitoring.queries.database import Database
from cnflow.monitoring.queries.filters import TaskFilter, parse_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from sqlalchemy import Connection

    from cnflow.monitoring.queries import views

T = TypeVar("T")

__all__ = ["Reader", "TaskFilter", "parse_filter"]


class Reader:
    """Answers questions about the runs of one database. Threads may share it.

    Args:
        url: of SQLAlchemy, such as ``sqlite:///runinfo/monitoring.db``; a path is a file of SQLite.

    Raises:
        ConfigurationError: there is no such database, or it is not one of monitoring, or of another schema.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        self._answers = Answers()

    @property
    def name(self) -> str:
        """URL of the database, without its password."""
        return self._database.name

    def runs(self, *, text: str = "", state: str = "", limit: int = 100, before: str = "") -> Sequence[views.RunView]:
        """Return runs, newest first; *text* is searched in name, script, folder, host and user."""
        return self._ask(lambda connection: runs.runs(connection, text=text, state=state, limit=limit, before=before))

    def run(self, run: str) -> views.RunView:
        """Return the run with the id, the folder or the number *run* (such as ``007``); "" is the newest.

        Raises:
            ConfigurationError: there is none; the nearest are named.
        """
        return self._ask(lambda connection: runs.run(connection, run))

    def has_folder(self, run: views.RunView) -> bool:
        """Return whether the folder of *run* is still its own: numbers begin anew where folders were removed."""
        return self._ask(lambda connection: runs.newest_in(connection, run.run_dir)) == run.id

    def apps(self, run: str) -> Sequence[views.AppView]:
        """Return counts of states by app."""
        return self._kept("apps", run, lambda connection, found: runs.apps(connection, found.id))

    def states(self, run: str) -> dict[str, int]:
        """Return counts of tasks by state."""
        return self._kept("states", run, lambda connection, found: runs.states(connection, found.id))

    def steps(self, run: str, *, points: int = 600, app: str = "") -> Sequence[views.Step]:
        """Return the progress of a run in at most *points* equal intervals."""
        return self._of(run, lambda connection, found: runs.steps(connection, found, points=points, app=app))

    def tasks(
        self, run: str, *, where: TaskFilter, limit: int = 100, after: int | None = None, before: int | None = None
    ) -> views.Page:
        """Return tasks by id, those after *after* or the last before *before*."""
        return self._of(
            run,
            lambda connection, found: tasks.page(
                connection, found.id, where=where, limit=limit, after=after, before=before
            ),
        )

    def task(self, run: str, task: int) -> views.TaskDetail:
        """Return everything about one task.

        Raises:
            ConfigurationError: the run has no such task.
        """
        return self._of(run, lambda connection, found: tasks.detail(connection, found.id, task))

    def samples(self, run: str, task: int, *, points: int = 600) -> Sequence[views.SampleView]:
        """Return the resources of a task over time."""
        return self._of(run, lambda connection, found: tasks.samples(connection, found.id, task, points=points))

    def node_samples(self, run: str, manager: str, *, points: int = 600) -> Sequence[views.SampleView]:
        """Return the resources of a node over time."""
        return self._of(
            run, lambda connection, found: places.node_samples(connection, found.id, manager, points=points)
        )

    def blocks(self, run: str) -> Sequence[views.BlockView]:
        """Return the blocks, newest first."""
        return self._kept("blocks", run, places.blocks)

    def nodes(self, run: str, *, limit: int = 10_000) -> Sequence[views.NodeView]:
        """Return the managers."""
        return self._of(run, lambda connection, found: places.nodes(connection, found, limit=limit))

    def images(self, run: str) -> Sequence[views.ImageView]:
        """Return the images."""
        return self._kept("images", run, lambda connection, found: places.images(connection, found.id))

    def models(self, run: str) -> Sequence[views.ModelView]:
        """Return the versions of served models."""
        return self._kept("models", run, models.versions)

    def model_steps(
        self, run: str, *, points: int = 600, model: str = "", version: str = ""
    ) -> Sequence[views.ModelStep]:
        """Return the progress of a served model, or of all, in at most *points* equal intervals."""
        return self._of(
            run,
            lambda connection, found: models.steps(connection, found, points=points, model=model, version=version),
        )

    def model_changes(self, run: str, *, limit: int = 200) -> Sequence[views.ModelChange]:
        """Return what happened to models, newest first."""
        return self._of(run, lambda connection, found: models.changes(connection, found.id, limit=limit))

    def files(self, run: str, *, text: str = "", limit: int = 200, after: int = -1) -> Sequence[views.FileView]:
        """Return files by task, those of tasks after *after*; *text* is searched in the URL."""
        return self._of(
            run, lambda connection, found: tasks.files(connection, found.id, text=text, limit=limit, after=after)
        )

    def errors(self, run: str, *, limit: int = 200) -> Sequence[views.ErrorGroup]:
        """Return causes of failures, the most frequent first."""
        return self._of(run, lambda connection, found: tasks.errors(connection, found.id, limit=limit))

    def bars(
        self, run: str, *, start: float | None = None, end: float | None = None, limit: int = 5_000
    ) -> Sequence[views.Bar]:
        """Return what each worker did between *start* and *end*, short tries put together to at most *limit*."""
        return self._kept(
            ("bars", start, end, limit),
            run,
            lambda connection, found: workers.bars(connection, found, start=start, end=end, limit=limit),
        )

    def graph(self, run: str, *, grouping: str = "", limit: int = 10_000) -> views.Graph:
        """Return the graph of tasks, by app where it has more than *limit* tasks."""
        return self._kept(
            ("graph", grouping, limit),
            run,
            lambda connection, found: graphs.graph(
                connection, found, grouping=grouping, limit=limit, apps=runs.apps(connection, found.id)
            ),
        )

    def usage(self, run: str) -> Sequence[views.Usage]:
        """Return asked and used resources by app, with advice."""
        return self._kept("usage", run, lambda connection, found: usage_by_app.usage(connection, found.id))

    def change(self) -> object:
        """Return a value that differs once the database was written to; costs next to nothing."""
        return self._database.change()

    def close(self) -> None:
        """Close the connections."""
        self._answers.clear()
        self._database.close()

    def _ask(self, question: Callable[[Connection], T]) -> T:
        with self._database.connect() as connection:
            return question(connection)

    def _of(self, run: str, question: Callable[[Connection, views.RunView], T]) -> T:
        return self._ask(lambda connection: question(connection, runs.run(connection, run)))

    def _kept(self, name: Hashable, run: str, question: Callable[[Connection, views.RunView], T]) -> T:
        return self._answers.get((name, run), self.change(), lambda: self._of(run, question))
