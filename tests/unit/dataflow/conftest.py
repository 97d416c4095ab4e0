"""A run over a scripted executor: a test ends its tasks."""

from concurrent.futures import CancelledError, Future

import pytest

from cnflow.config import Config
from cnflow.dataflow import DataFlowKernel
from cnflow.dataflow.loop import TaskGraph
from cnflow.dataflow.memo.cache import ResultCache
from cnflow.dataflow.router import RoutableExecutor
from cnflow.errors import ExecutorClosedError
from cnflow.model.image import NO_IMAGE
from cnflow.model.status import ExecutorStatus
from cnflow.model.task import Outcome
from cnflow.tasks.arguments import copy_of


class Scripted:
    """Executor that holds tasks until the test ends them."""

    label, image = "scripted", NO_IMAGE
    storage_access, working_dir = None, ""

    def __init__(self):
        self.taken = []
        self.digest = Future()

    def start(self, report):
        self.report = report

    def submit(self, tasks):
        self.taken += tasks

    def status(self):
        return ExecutorStatus(self.label, "", 1, 1, 1)

    def cancel(self, tasks):
        self.report([Outcome(task, None, CancelledError()) for task in tasks])

    def shutdown(self):
        self.report([Outcome(task.id, None, ExecutorClosedError("ended")) for task in self.taken])

    def run(self):
        """Run all tasks that are held, and report their outcomes in one batch."""
        batch, self.taken = self.taken, []
        outcomes = []
        for task in batch:
            args, kwargs = copy_of((task.args, task.kwargs)) if task.kept else (task.args, task.kwargs)
            try:
                outcomes.append(Outcome(task.id, task.app.function(*args, **kwargs)))
            except Exception as error:
                outcomes.append(Outcome(task.id, None, error))
        self.report(outcomes)


class Joiner(Scripted):
    """Executor that runs tasks at once."""

    label = "_join"

    def submit(self, tasks):
        super().submit(tasks)
        self.run()


class Clone(Scripted):
    """Executor of an image."""

    image = "app:1"
    is_shut_down = False

    def __init__(self, label, on_start):
        super().__init__()
        self.label, self.on_start = label, on_start
        self.digest.set_result("")

    def start(self, report):
        super().start(report)
        self.on_start()

    def shutdown(self):
        self.is_shut_down = True


class Factory:
    """Makes executors for join apps and for images."""

    def __init__(self):
        self.made = []
        self.on_start = list

    def make_joiner(self):
        return Joiner()

    def clone(self, template, image, label, *, fresh=False):
        self.made.append(Clone(label, self.on_start))
        return self.made[-1]


@pytest.fixture
def executor():
    return Scripted()


@pytest.fixture
def factory():
    return Factory()


@pytest.fixture
def make_dfk(executor, factory, tmp_path):
    def make(results=None, **config):
        route = RoutableExecutor("scripted", executor.image, needs_image=False, can_clone=False)
        template = RoutableExecutor("template", NO_IMAGE, needs_image=True, can_clone=True)
        if results is None:
            results = ResultCache(files_by_content=config.get("cache_files_by") == "content")
        graph = TaskGraph(
            config=Config(**config),
            run_dir=tmp_path,
            executors=[executor],
            routes=[route, template],
            factory=factory,
            results=results,
        )
        made = DataFlowKernel(graph=graph)
        made.start()
        all_made.append(made)
        return made

    all_made = []
    yield make
    for one in all_made:
        one.cleanup()
