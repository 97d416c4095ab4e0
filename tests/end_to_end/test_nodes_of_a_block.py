"""Blocks with a manager on each of several nodes: all are this machine, and a line of shell is the launcher."""

import os
import signal
import time

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
