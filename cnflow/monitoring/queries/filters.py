"""Which tasks a list shows: parsed from the words of a command or of an address, made into conditions of SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import or_

from cnflow.errors import UnknownNameError
from cnflow.monitoring.store.schema import task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement

UNFINISHED = ("waiting", "launched", "staging_in", "running", "staging_out")
FAILED = ("failed", "dependency_failed")
STATES = (*UNFINISHED, "done", *FAILED, "cancelled")
"""Every state of a task, in the order of its life."""

_GROUPS = {"unfinished": UNFINISHED, "any_failure": FAILED, "ended": ("done", *FAILED, "cancelled")}
"""Names that stand for several states."""


class TaskFilter(msgspec.Struct, kw_only=True, frozen=True):
    """Which tasks; a field that is empty lets all through."""

    states: tuple[str, ...] = ()
    app: str = ""
    host: str = ""
    image: str = ""
    executor: str = ""
    error_group: str = ""
    text: str = ""
    """Searched in app, arguments, error and host, whatever the case."""

    @property
    def is_search(self) -> bool:
        """Whether rows have to be read to be judged."""
        return bool(self.text)


def parse_filter(words: Mapping[str, str]) -> TaskFilter:
    """Return the filter of *words*, such as ``{"state": "failed,cancelled", "app": "train"}``; others are ignored.

    Raises:
        UnknownNameError: there is no such state.
    """
    states: list[str] = []
    for name in filter(None, (each.strip().lower() for each in words.get("state", "").split(","))):
        if name not in STATES and name not in _GROUPS:
            raise UnknownNameError("state", name, [*STATES, *_GROUPS])
        states += [state for state in _GROUPS.get(name, (name,)) if state not in states]
    rest = {name: words.get(name, "").strip() for name in ("app", "host", "image", "executor", "error_group", "text")}
    return TaskFilter(states=tuple(states), **rest)


def words_of(where: TaskFilter) -> dict[str, str]:
    """Return the words that `parse_filter` parses to *where*, without those that are empty."""
    words = msgspec.structs.asdict(where)
    words["state"] = ",".join(words.pop("states"))
    return {name: word for name, word in words.items() if word}


def conditions(where: TaskFilter) -> list[ColumnElement[bool]]:
    """Return the conditions that a row of `task` has to meet."""
    equal = {
        task.c.task_func_name: where.app,
        task.c.task_hostname: where.host,
        task.c.task_image: where.image,
        task.c.task_executor: where.executor,
        task.c.task_error_group: where.error_group,
    }
    found: list[ColumnElement[bool]] = [column == word for column, word in equal.items() if word]
    if where.states:
        found.append(task.c.task_state.in_(where.states))
    if where.text:
        columns = (task.c.task_func_name, task.c.task_arguments, task.c.task_error, task.c.task_hostname)
        found.append(or_(*(column.icontains(where.text, autoescape=True) for column in columns)))
    return found
