"""JSON of `/api/v1`: the reader's answers, for charts and for programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from cnflow.errors import ConfigurationError
from cnflow.monitoring.dashboard import openapi
from cnflow.monitoring.queries.filters import parse_filter

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from cnflow.monitoring.queries.reader import Reader

PREFIX = "/api/v1"
_MOST_ROWS = 10_000
_LARGEST = 2**63 - 1
"""Largest whole number of a database."""

_LATEST = 253_000_000_000.0
"""Unix time of the last year that has four digits."""


class Query:
    """Parameters of one request, checked."""

    def __init__(self, request: Request) -> None:
        self._words = request.query_params
        self.run = str(request.path_params.get("run", ""))
        self.path = request.path_params

    def text(self, name: str) -> str:
        """Return a text; empty where it is not given."""
        return self._words.get(name, "")

    def number(self, name: str, default: int | None, most: int | None = None) -> int | None:
        """Return a whole number.

        Raises:
            ConfigurationError: it is none.
        """
        word = self._words.get(name, "")
        if not word:
            return default
        try:
            found = int(word)
        except ValueError:
            raise ConfigurationError(f"{name}={word[:40]!r} is not a whole number.") from None
        if abs(found) > _LARGEST:
            raise ConfigurationError(f"{name}={word[:40]!r} is too large.")
        return found if most is None else max(1, min(found, most))

    def seconds(self, name: str) -> float | None:
        """Return a time.

        Raises:
            ConfigurationError: it is none.
        """
        word = self._words.get(name, "")
        if not word:
            return None
        try:
            found = float(word)
        except ValueError:
            found = math.nan
        if not 0.0 <= found <= _LATEST:
            raise ConfigurationError(f"{name}={word[:40]!r} is not a number of seconds since 1970.")
        return found

    def limit(self, default: int, name: str = "limit") -> int:
        """Return how much is asked for at most."""
        return self.number(name, default, _MOST_ROWS) or default

    def after(self) -> int:
        """Return the task after which files are asked for."""
        found = self.number("after", None)
        return -1 if found is None else found

    @property
    def words(self) -> dict[str, str]:
        """All parameters."""
        return dict(self._words)


ANSWERS: dict[str, Callable[[Reader, Query], object]] = {
    "/runs": lambda reader, query: reader.runs(
        text=query.text("text"), state=query.text("state"), limit=query.limit(100), before=query.text("before")
    ),
    "/runs/{run}": lambda reader, query: reader.run(query.run),
    "/runs/{run}/states": lambda reader, query: reader.states(query.run),
    "/runs/{run}/apps": lambda reader, query: reader.apps(query.run),
    "/runs/{run}/steps": lambda reader, query: reader.steps(
        query.run, points=query.limit(600, "points"), app=query.text("app")
    ),
    "/runs/{run}/tasks": lambda reader, query: reader.tasks(
        query.run,
        where=parse_filter(query.words),
        limit=query.limit(100),
        after=query.number("after", None),
        before=query.number("before", None),
    ),
    "/runs/{run}/tasks/{task:int}": lambda reader, query: reader.task(query.run, query.path["task"]),
    "/runs/{run}/tasks/{task:int}/samples": lambda reader, query: reader.samples(
        query.run, query.path["task"], points=query.limit(600, "points")
    ),
    "/runs/{run}/blocks": lambda reader, query: reader.blocks(query.run),
    "/runs/{run}/nodes": lambda reader, query: reader.nodes(query.run, limit=query.limit(10_000)),
    "/runs/{run}/nodes/{manager}/samples": lambda reader, query: reader.node_samples(
        query.run, query.path["manager"], points=query.limit(600, "points")
    ),
    "/runs/{run}/images": lambda reader, query: reader.images(query.run),
    "/runs/{run}/models": lambda reader, query: reader.models(query.run),
    "/runs/{run}/model_steps": lambda reader, query: reader.model_steps(
        query.run, points=query.limit(600, "points"), model=query.text("model"), version=query.text("version")
    ),
    "/runs/{run}/model_changes": lambda reader, query: reader.model_changes(query.run, limit=query.limit(200)),
    "/runs/{run}/files": lambda reader, query: reader.files(
        query.run, text=query.text("text"), limit=query.limit(200), after=query.after()
    ),
    "/runs/{run}/errors": lambda reader, query: reader.errors(query.run, limit=query.limit(200)),
    "/runs/{run}/bars": lambda reader, query: reader.bars(
        query.run, start=query.seconds("start"), end=query.seconds("end"), limit=query.limit(5_000)
    ),
    "/runs/{run}/graph": lambda reader, query: reader.graph(
        query.run, grouping=query.text("grouping"), limit=query.limit(10_000)
    ),
    "/runs/{run}/usage": lambda reader, query: reader.usage(query.run),
}
"""What is answered at each address below `PREFIX`."""

WORDS = {
    "/runs": "Runs, newest first",
    "/runs/{run}": "One run, by its id, folder or number",
    "/runs/{run}/states": "Counts of tasks by state",
    "/runs/{run}/apps": "Counts of tasks by app",
    "/runs/{run}/steps": "Progress in equal intervals",
    "/runs/{run}/tasks": "Tasks in the order of their ids, by pages",
    "/runs/{run}/tasks/{task:int}": "Everything about one task",
    "/runs/{run}/tasks/{task:int}/samples": "Resources of a task over time",
    "/runs/{run}/blocks": "Blocks, newest first",
    "/runs/{run}/nodes": "Managers on their nodes",
    "/runs/{run}/nodes/{manager}/samples": "Resources of a node over time",
    "/runs/{run}/images": "Images, and where they were used",
    "/runs/{run}/models": "Versions of served models",
    "/runs/{run}/model_steps": "Requests of served models in equal intervals",
    "/runs/{run}/model_changes": "What happened to served models, newest first",
    "/runs/{run}/files": "Files, by task",
    "/runs/{run}/errors": "Causes of failures, the most frequent first",
    "/runs/{run}/bars": "What each worker did, over time",
    "/runs/{run}/graph": "Tasks, or groups of them, and which need which",
    "/runs/{run}/usage": "Resources asked for and used, by app",
}
"""What each answers, for people."""


def routes() -> list[Route]:
    """Return the routes."""
    answers = [Route(PREFIX + address, _endpoint(answer)) for address, answer in ANSWERS.items()]
    return [*answers, Route(f"{PREFIX}/openapi.json", _openapi)]


def _openapi(request: Request) -> Response:
    del request
    return Response(msgspec.json.encode(openapi.document(WORDS, PREFIX)), media_type="application/json")


def _endpoint(answer: Callable[[Reader, Query], object]) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        found = answer(request.app.state.reader, Query(request))
        return Response(msgspec.json.encode(found), media_type="application/json")

    return endpoint
