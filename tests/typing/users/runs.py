"""Configurations, runs and files under both checkers."""

from __future__ import annotations

from typing_extensions import assert_type

import cnflow
from cnflow import Config, DataFlowKernel, File, Resources
from cnflow.apps import DataFuture
from cnflow.config import DockerProvider, HighThroughputExecutor, LocalProvider, ThreadPoolExecutor

config = Config(
    executors=[
        HighThroughputExecutor(label="node", provider=LocalProvider(max_blocks=2), max_workers=4),
        HighThroughputExecutor(label="image", provider=DockerProvider(), image="python:3.12"),
        ThreadPoolExecutor(label="driver", max_threads=2),
    ],
    retries=2,
    checkpoint_mode="task_exit",
    checkpoint_files=cnflow.get_all_checkpoints(),
)

with cnflow.load(config) as dfk:
    assert_type(dfk, DataFlowKernel)
    assert_type(dfk.explain(3), str)
    assert_type(dfk.checkpoint(), str)
    cnflow.wait_for_current_tasks()

assert_type(cnflow.dfk(), DataFlowKernel)
assert_type(File("a.txt").filename, str)
assert_type(DataFuture(None, "a.txt").result(timeout=2), File)
assert_type(Resources(cores=2).gpus, int | None)
settings: dict[str, object] = config.model_dump()


def monitored() -> cnflow.Config:
    return cnflow.Config(monitoring=True, dashboard=False, logs="json")
