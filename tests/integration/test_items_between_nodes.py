"""An item that a task has left on one node is needed on another: it comes directly, or through the interchange."""

import os
import time
import uuid
from pathlib import Path

import pytest

from cnflow.config import HighThroughputExecutor, LocalProvider
from cnflow.executors.high_throughput import make_backend
from cnflow.ids import RunId
from cnflow.interfaces import RunContext
from cnflow.testing.task_driver import TaskDriver
from tests.integration.test_items_on_nodes import Needing, leave, read
from tests.waiting import wait_until

CONTENT = os.urandom(5 * 2**20 + 3)


def root_and_size(needing, seconds):
    time.sleep(seconds)
    return os.environ["CNFLOW_AREA"], len(read(needing))


def names_root(seconds):
    time.sleep(seconds)
    return os.environ["CNFLOW_AREA"]


@pytest.fixture
def two_nodes(tmp_path, request):
    """Driver of two blocks that share no folder."""
    provider = LocalProvider(
        init_blocks=2, min_blocks=2, max_blocks=2, worker_init=f"export TMPDIR=$(mktemp -d -p {tmp_path})"
    )
    executor = make_backend(
        HighThroughputExecutor(
            max_workers=1, provider=provider, **{"encrypted": True, **getattr(request, "param", {})}
        ),
        RunContext(RunId(f"test-{uuid.uuid4().hex[:12]}"), tmp_path / "run"),
    )
    try:
        driver = TaskDriver(executor, patience=30)
        deadline = time.monotonic() + 30
        roots = set()
        while len(roots) < 2 and time.monotonic() < deadline:
            both = driver.submit([driver.task(names_root, 0.3), driver.task(names_root, 0.3)])
            roots = {driver.outcome(task).value for task in both}
        assert len(roots) == 2
        yield driver
    finally:
        executor.shutdown()


def logs_of(folder):
    return "".join(path.read_text(errors="replace") for path in Path(folder, "run").rglob("*.log"))


@pytest.mark.parametrize(
    "two_nodes",
    [{}, {"node_to_node": False}, {"encrypted": False}],
    indirect=True,
    ids=["directly", "through the interchange", "without a port that nothing protects"],
)
def test_item_comes_from_the_node_that_has_it(two_nodes, tmp_path, request):
    (item,) = two_nodes.outcome(two_nodes.python(leave, CONTENT, "value")).items
    tasks = two_nodes.submit([two_nodes.task(root_and_size, Needing(item), 1.0) for _ in range(4)])
    outcomes = [two_nodes.outcome(task) for task in tasks]
    assert {outcome.value[1] for outcome in outcomes} == {len(CONTENT)}
    assert len({outcome.value[0] for outcome in outcomes}) == 2
    if not request.node.callspec.params["two_nodes"]:  # a line that comes up late is of use for the next item
        wait_until(lambda: "connected to manager" in logs_of(tmp_path), 20.0)
    else:
        assert "connected to manager" not in logs_of(tmp_path)
