"""Blocks with a manager on each of several nodes: all are this machine, and a line of shell is the launcher."""

import os
import signal
import tempfile
import time
from pathlib import Path

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

# The manager's command is "$@" in `worker_init`: interpreter, file, settings file, --unlink.
SECOND_MANAGER = """
settings="${{@: -2:1}}"
sed -i 's/"nodes":1/"nodes":2/' "$settings"
sed 's/"drain_period":null/"drain_period":{drain_period}/' "$settings" > "$settings.2"
CNFLOW_NODE_RANK=1 "${{@:1:$#-2}}" "$settings.2" --unlink &
export CNFLOW_NODE_RANK=0
"""


@python_app
def pid_of_manager(seconds):
    import os
    import time

    time.sleep(seconds)
    return os.getppid()


def until(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.05)


def two_nodes(tmp_path, drain_period="null"):
    launcher = SECOND_MANAGER.format(drain_period=drain_period)
    provider = LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1, worker_init=launcher)
    executor = HighThroughputExecutor(
        provider=provider, max_workers=1, prefetch=0, heartbeat_period=1, heartbeat_threshold=5
    )
    return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path), strategy="none"))


def managers_of(dfk):
    return {info.node_rank: info for info in dfk.executors["htex"]._managers.managers().values()}


def test_block_goes_on_when_one_of_its_two_managers_dies(tmp_path):
    with two_nodes(tmp_path) as dfk:
        until(lambda: len(managers_of(dfk)) == 2)
        assert {(info.block, info.nodes) for info in managers_of(dfk).values()} == {("0", 2)}
        futures = [pid_of_manager(0.5) for _ in range(8)]
        time.sleep(0.7)
        victim = managers_of(dfk)[1].pid
        os.kill(victim, signal.SIGKILL)
        assert all(future.result(60) for future in futures)
        until(lambda: list(managers_of(dfk)) == [0])
        (report,) = dfk.executors["htex"].block_reports()
        assert (report.block, report.nodes) == ("0", 1)
        assert report.message.startswith("1 of 2 nodes are connected.")
        assert pid_of_manager(0).result(30) == managers_of(dfk)[0].pid


def test_manager_that_leaves_by_its_drain_period_does_not_end_the_other_one(tmp_path):
    with two_nodes(tmp_path, drain_period="1.5") as dfk:
        until(lambda: len(managers_of(dfk)) == 2)
        until(lambda: list(managers_of(dfk)) == [0])
        time.sleep(1.0)  # longer than the provider's status query
        assert pid_of_manager(0).result(30) == managers_of(dfk)[0].pid
        assert dfk.executor_status()[0].blocks == 1
        assert dfk.executors["htex"].connected_blocks() == ["0"]


def side_by_side(tmp_path, nodes, **options):
    """A block of several nodes, all of them this machine."""
    provider = LocalProvider(nodes_per_block=nodes, **options)
    executor = HighThroughputExecutor(
        provider=provider, max_workers=1, prefetch=0, heartbeat_period=1, heartbeat_threshold=5
    )
    return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path), retries=0))


def test_managers_of_a_block_can_be_tried_side_by_side_on_one_machine(tmp_path):
    with side_by_side(tmp_path, 3) as dfk:
        until(lambda: len(managers_of(dfk)) == 3)
        assert {info.nodes for info in managers_of(dfk).values()} == {3}
        pids = {task.result(60) for task in [pid_of_manager(0.5) for _ in range(9)]}
        assert pids == {info.pid for info in managers_of(dfk).values()}
        victim = managers_of(dfk)[1].pid
        tasks = [pid_of_manager(3) for _ in range(3)]
        until(lambda: sum(each["tasks"] for each in dfk.executors["htex"].connected_managers()) == 3)
        os.kill(victim, signal.SIGKILL)
        assert {task.result(60) for task in tasks} == pids - {victim}
        assert sorted(task.provenance.attempts for task in tasks) == [1, 1, 2], "the other nodes lost nothing"
        assert dfk.executor_status()[0].blocks == 1
    assert not [pid for pid in pids if Path(f"/proc/{pid}/stat").exists() and " Z " not in stat_of(pid)]


def stat_of(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return " Z "


def test_nodes_that_never_came_are_named_and_the_block_works_without(tmp_path, caplog):
    def two_of_three(command, tasks_per_node, nodes):
        assert (tasks_per_node, nodes) == (1, 3)
        return f"CNFLOW_NODE_RANK=0 {command} & CNFLOW_NODE_RANK=2 {command} & wait"

    with side_by_side(tmp_path, 3, launcher=two_of_three, startup_timeout=4) as dfk:
        assert pid_of_manager(0).result(60)
        until(lambda: "2 of 3 nodes of block 0 of executor 'htex' connected within 4 s; node 1 did not" in caplog.text)
        assert {task.result(60) for task in [pid_of_manager(0.5) for _ in range(4)]}
        (report,) = dfk.executors["htex"].block_reports()
        assert (report.state, report.nodes) == ("running", 2)
        assert report.message.startswith("2 of 3 nodes are connected. Not connected: 1.")


def test_keys_of_a_block_of_several_nodes_go_with_the_block(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with side_by_side(tmp_path / "runs", 2) as dfk:
        until(lambda: len(managers_of(dfk)) == 2)
        (file,) = folder.glob("cnflow-manager-*.json")
        assert oct(file.stat().st_mode)[-3:] == "600"
    assert not [*folder.glob("cnflow-manager-*.json")]
