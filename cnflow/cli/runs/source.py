"""Answers the commands' questions about one run, from its database, its control socket, or both. No formatting.

::

    overview ──live? the driver's own counts──┐ else those of the database
    tasks ─────recorded? the database─────────┤ else the tasks that a live run still knows
    task ──────recorded? the database─────────┘ with, of a live run, why it waits
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import msgspec

from cnflow.control_socket import FILE, ask
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.model.task import TaskState
from cnflow.monitoring.queries.lifetimes import lived
from cnflow.monitoring.queries.views import (
    AppView,
    BlockView,
    ErrorGroup,
    ModelView,
    Page,
    RunView,
    Step,
    TaskDetail,
    TaskView,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cnflow.cli.runs.lookup import RunPlace

_STEPS = 60
"""Intervals of the progress that `cnflow top` draws."""

_ERRORS = 8


class Overview(msgspec.Struct, kw_only=True, frozen=True):
    """A run at one time, as `cnflow top` shows it."""

    name: str
    folder: str
    state: str
    """``running``, ``ended`` or ``crashed``."""

    began: float | None
    ended: float | None
    states: dict[str, int]
    apps: dict[str, dict[str, int]]
    executors: list[dict[str, Any]]
    """Label, image, blocks, managers and workers of each; empty unless the run is live."""

    blocks: list[dict[str, Any]]
    errors: list[ErrorGroup]
    steps: list[Step]
    """Progress in equal intervals; empty without monitoring."""

    models: list[ModelView] = []
    """Versions of served models; empty without monitoring."""

    spent: str = ""
    files_moving: int = 0
    is_recorded: bool = False


class TaskList(NamedTuple):
    """Tasks that match a filter."""

    page: Page
    unlisted: int
    """Finished tasks that a live run without monitoring has not kept."""


class LiveTask(msgspec.Struct, kw_only=True, frozen=True):
    """One task of a live run without monitoring."""

    task: TaskView | None
    depends: list[int]
    errors: list[str]
    """Text of the error of each failed try."""

    explanation: list[str]


class RunSource:
    """Answers questions about one run.

    Args:
        place: of the run.
    """

    def __init__(self, place: RunPlace) -> None:
        self.place = place

    def overview(self) -> Overview:
        """Return the state of the run now."""
        if (live := self._ask({"ask": "overview"})) is not None:
            return self._live_overview(live)
        return self._recorded_overview()

    def tasks(self, words: Mapping[str, str], *, limit: int, after: int) -> TaskList:
        """Return the tasks after the id *after* that match *words*, by id.

        Raises:
            UnknownNameError: a state of *words* does not exist.
        """
        reader = self.place.reader
        if reader is not None:
            from cnflow.monitoring.queries.filters import parse_filter

            page = reader.tasks(self.place.id, where=parse_filter(words), limit=limit, after=after)
            return TaskList(page, 0)
        states = [state.strip().lower() for state in words.get("state", "").split(",") if state.strip()]
        check_states(states)
        others = {name: text for name, text in words.items() if name != "state" and text}
        reply = self._ask({**others, "ask": "tasks", "states": states, "limit": limit, "after": after})
        if reply is None:
            self._refuse()
        return TaskList(msgspec.convert(reply, Page), reply["unlisted"])

    def task(self, task: int) -> tuple[TaskDetail | LiveTask, list[str]]:
        """Return what is known of *task*, and lines on why it has no result yet.

        Raises:
            ConfigurationError: the run has no such task.
        """
        reply, reader = self._ask({"ask": "task_detail", "task": task}), self.place.reader
        lines: list[str] = [] if reply is None or not reply["exists"] else reply["explanation"]
        if reader is not None:
            return reader.task(self.place.id, task), lines
        if reply is None:
            self._refuse()
        if not reply["exists"]:
            raise ConfigurationError(f"The run in {self.place.folder} has no task {task}: {reply['explanation'][0]}")
        return msgspec.convert(reply, LiveTask), lines

    def close(self) -> None:
        """Close the database."""
        if self.place.reader is not None:
            self.place.reader.close()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """Ask the driver; None if it has ended."""
        if not self.place.is_live:
            return None
        try:
            return ask(self.place.folder, question)
        except OSError:
            return None

    def _refuse(self) -> NoReturn:
        raise ConfigurationError(
            f"The run in {self.place.folder} has just ended. It ran without Config(monitoring=True), so that nothing "
            "of its tasks is left but its logs: cnflow logs."
        )

    def _live_overview(self, live: Mapping[str, Any]) -> Overview:
        folder = self.place.folder
        view = self._view()
        return Overview(
            name=view.name if view is not None else "",
            folder=str(folder),
            state="running",
            began=view.began if view is not None else _time_of(folder),
            ended=None,
            states=live["states"],
            apps=live["apps"],
            executors=live["executors"],
            blocks=live["blocks"],
            spent=live["spent"],
            files_moving=live["staging"]["files"],
            **self._history(),
        )

    def _recorded_overview(self) -> Overview:
        view, reader = self._view(), self.place.reader
        if view is None or reader is None:
            self._refuse()
        apps: Sequence[AppView] = reader.apps(self.place.id)
        return Overview(
            name=view.name,
            folder=view.run_dir,
            state=view.state,
            began=view.began,
            ended=view.ended,
            states=dict(reader.states(self.place.id)),
            apps={each.app: each.states for each in apps},
            executors=[],
            blocks=[_block_row(each, view.ended or time.time()) for each in reader.blocks(self.place.id)],
            **self._history(),
        )

    def _view(self) -> RunView | None:
        return None if self.place.reader is None else self.place.reader.run(self.place.id)

    def _history(self) -> dict[str, Any]:
        reader = self.place.reader
        if reader is None:
            return {"errors": [], "steps": []}
        errors, steps = reader.errors(self.place.id, limit=_ERRORS), reader.steps(self.place.id, points=_STEPS)
        models = list(reader.models(self.place.id))
        return {"errors": list(errors), "steps": list(steps), "models": models, "is_recorded": True}


def check_states(states: Sequence[str]) -> None:
    """Check the names of states.

    Raises:
        UnknownNameError: there is no such state.
    """
    known = [state.name.lower() for state in TaskState]
    for state in states:
        if state not in known:
            raise UnknownNameError("state of a task", state, known)


def _time_of(folder: Path) -> float | None:
    """Return when the run began to answer: the time of its socket's file."""
    try:
        return float((folder / FILE).stat().st_mtime)
    except OSError:
        return None


def _block_row(block: BlockView, end: float) -> dict[str, Any]:
    """Return the fields of a recorded block that those of a live one have, too; *end* is that of the run."""
    return {
        "executor": block.executor,
        "block": block.block,
        "native": block.native,
        "state": block.state,
        "nodes": None,
        "workers": None,
        "tasks": block.tasks,
        "age": lived(block, end),
        "message": block.reason,
    }
