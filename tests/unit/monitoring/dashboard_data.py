"""A reader with made-up answers, and an app with the pages alone: pages are tested without a database or a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cnflow.errors import ConfigurationError
from cnflow.monitoring.dashboard.pages import errors, files, images, models, run, runs, task, tasks
from cnflow.monitoring.dashboard.rendering import STATIC, error_page
from cnflow.monitoring.queries import views

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7373 * 9 }}"
"""Name that a page must show as it is, and nothing else."""

BEGAN = 1_790_000_000.0


def a_run(**changed: Any) -> views.RunView:
    """Return a run."""
    values: dict[str, Any] = {
        "id": "6f0e",
        "name": "digits",
        "version": "1.2",
        "state": "running",
        "began": BEGAN,
        "ended": None,
        "host": "login1",
        "user": "ann",
        "run_dir": "/home/ann/runinfo/007",
        "script": "/home/ann/digits.py",
        "tasks": 12_480,
        "done": 9_871,
        "failed": 42,
        "cancelled": 3,
    }
    return views.RunView(**{**values, **changed})


def a_task(number: int = 7, **changed: Any) -> views.TaskView:
    """Return a row of a list of tasks."""
    values: dict[str, Any] = {
        "id": number,
        "app": "train_model",
        "state": "done",
        "executor": "cluster",
        "image": "registry/digits@sha256:" + "ab" * 32,
        "host": "node17",
        "submitted": BEGAN + number,
        "ended": BEGAN + number + 40,
        "run_seconds": 31.4,
        "tries": 1,
        "error": "",
    }
    return views.TaskView(**{**values, **changed})


def a_try(number: int = 0, **changed: Any) -> views.TryView:
    """Return a try."""
    values: dict[str, Any] = {
        "number": number,
        "state": "done",
        "executor": "cluster",
        "block": "0",
        "manager": "m1",
        "worker": 3,
        "host": "node17",
        "image": "registry/digits:1",
        "launched": BEGAN + 8,
        "running": BEGAN + 10,
        "ended": BEGAN + 41,
        "error_type": "",
        "error": "",
        "traceback": "",
        "stderr_tail": "",
        "exit_code": None,
        "signal": "",
        "cpu_seconds": 28.9,
        "peak_rss_bytes": 812 * 2**20,
        "read_bytes": 15_000_000,
        "written_bytes": 1200,
        "gpu_peak_bytes": None,
    }
    return views.TryView(**{**values, **changed})


def a_detail(task_view: views.TaskView, **changed: Any) -> views.TaskDetail:
    """Return everything about a task."""
    values: dict[str, Any] = {
        "task": task_view,
        "depends": [1, 2],
        "needed_by": [9, 10, 11],
        "arguments": "('digits.csv', 0.01, epochs=20)",
        "resources": {"cores": 4, "memory": 8 * 2**30},
        "inputs": "",
        "outputs": "",
        "stdout": "",
        "stderr": "",
        "memoized": False,
        "tries": [a_try()],
        "statuses": [
            views.StatusView(number=0, state=state, time=BEGAN + 7 + after)
            for state, after in (
                ("pending", 0.0),
                ("launched", 1.0),
                ("staging_in", 2.0),
                ("running", 3.0),
                ("exec_done", 34.0),
            )
        ],
        "files": [],
    }
    return views.TaskDetail(**{**values, **changed})


def a_version(name: str = "0.2", **changed: Any) -> views.ModelView:
    """Return a version of a served model."""
    values: dict[str, Any] = {
        "model": "digits",
        "version": name,
        "state": "ready",
        "reason": "",
        "image": "registry/digits:0.2",
        "digest": "ab" * 32,
        "weight": 0.9,
        "is_shadow": False,
        "workers": 4,
        "in_flight": 3,
        "waiting": 2,
        "first": BEGAN,
        "last": BEGAN + 60,
        "requests": 12_345,
        "refused": 17,
        "errors": 5,
        "rows": 50_000,
        "batches": 10_000,
        "copies": 0,
        "copy_errors": 0,
        "pieces": 0,
        "attempts": 1,
        "latency": (0.0042, 0.011, 0.087),
        "queue": (0.0011, 0.003, 0.02),
        "compute": (0.0008, 0.001, 0.002),
        "batch_sizes": [(4.0, 2_500), (8.0, 7_500)],
    }
    return views.ModelView(**{**values, **changed})


class FakeReader:
    """Answers as `cnflow.monitoring.queries.reader.Reader` does; tests exchange its attributes."""

    def __init__(self) -> None:
        self.all_runs = [
            a_run(),
            a_run(id="5a11", name="digits", state="ended", ended=BEGAN + 900),
            a_run(id="4c", name="", state="crashed"),
        ]
        self.details = {7: a_detail(a_task())}
        self.groups: list[views.ErrorGroup] = []
        self.image_views: list[views.ImageView] = []
        self.model_views: list[views.ModelView] = []
        self.changes: list[views.ModelChange] = []
        self.file_views: list[views.FileView] = []
        self.rows: list[views.TaskView] = [a_task(number) for number in range(30)]
        self.counts = {
            "done": 9_871,
            "failed": 40,
            "dependency_failed": 2,
            "cancelled": 3,
            "running": 64,
            "launched": 300,
            "waiting": 2200,
        }
        self.asked: dict[str, Any] = {}
        self.without_folder: set[str] = set()

    def runs(self, **asked: Any) -> list[views.RunView]:
        """Return the runs."""
        self.asked = asked
        return self.all_runs

    def run(self, name: str) -> views.RunView:
        """Return a run."""
        for each in self.all_runs:
            if each.id == name:
                return each
        raise ConfigurationError(f"There is no run {name!r}.")

    def has_folder(self, run: views.RunView) -> bool:
        """Return whether no later run has the folder."""
        return run.id not in self.without_folder

    def states(self, _: str) -> dict[str, int]:
        """Return counts."""
        return self.counts

    def apps(self, _: str) -> list[views.AppView]:
        """Return apps."""
        return [
            views.AppView(app="train_model", states={"done": 900, "running": 64, "failed": 41}, run_seconds=29_000.0),
            views.AppView(app=HOSTILE, states={"waiting": 3}, run_seconds=0.0),
        ]

    def steps(self, _: str, **__: Any) -> list[views.Step]:
        """Return progress."""
        return [
            views.Step(time=BEGAN + n, submitted=50, launched=40, done=30 + n % 7, failed=n % 2, cancelled=0)
            for n in range(200)
        ]

    def tasks(self, _: str, **asked: Any) -> views.Page:
        """Return rows."""
        self.asked = asked
        return views.Page(tasks=self.rows, next=29, previous=None)

    def task(self, _: str, number: int) -> views.TaskDetail:
        """Return a task."""
        if number not in self.details:
            raise ConfigurationError(f"The run has no task {number}.")
        return self.details[number]

    def errors(self, _: str, *, limit: int) -> list[views.ErrorGroup]:
        """Return causes."""
        return self.groups[:limit]

    def images(self, _: str) -> list[views.ImageView]:
        """Return images."""
        return self.image_views

    def models(self, _: str) -> list[views.ModelView]:
        """Return versions of models."""
        return self.model_views

    def model_changes(self, _: str, *, limit: int) -> list[views.ModelChange]:
        """Return what happened."""
        return self.changes[:limit]

    def files(self, _: str, **asked: Any) -> list[views.FileView]:
        """Return files."""
        self.asked = asked
        return self.file_views


class FakeLive:
    """Asks runs, as `cnflow.monitoring.dashboard.live_runs.LiveRuns` does."""

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self.lines = ["It waits for task 3 (load), which runs."]

    def is_live(self, run_dir: str) -> bool:
        """Whether the run is one of `folders`."""
        return run_dir in self.folders

    def ask(self, _: str, question: dict[str, Any]) -> dict[str, Any]:
        """Return the lines."""
        assert question["ask"] == "explain"
        return {"lines": self.lines}


def make_app(reader: Any, static: Path = STATIC) -> Starlette:
    """Return an app with the pages, as the dashboard has them."""
    base = "/runs/{run}"
    made = Starlette(
        routes=[
            Route("/", runs.runs),
            Route(base, run.run),
            Route(f"{base}/tasks", tasks.tasks),
            Route(f"{base}/tasks/{{task:int}}", task.task),
            Route(f"{base}/tasks/{{task:int}}/output/{{stream}}", task.output),
            Route(f"{base}/tasks/{{task:int}}/why", task.why),
            Route(f"{base}/errors", errors.errors),
            Route(f"{base}/images", images.images),
            Route(f"{base}/models", models.models),
            Route(f"{base}/files", files.files),
            Mount("/static", StaticFiles(directory=static)),
        ],
        exception_handlers={HTTPException: error_page},
    )
    made.state.reader = reader
    made.state.live = FakeLive()
    return made


class Client:
    """Asks an app in this process."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def get(self, address: str, **options: Any) -> httpx.Response:
        """Return the answer to a GET."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.get(address, **options)

        return asyncio.run(ask())
