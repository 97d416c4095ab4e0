"""Parsl's ready configurations for any machine; those for single sites are not covered."""

from cnflow.compat.parsl.config import Config
from cnflow.compat.parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.compat.parsl.kubernetes import KubernetesProvider
from cnflow.compat.parsl.providers import LocalProvider

local_threads = Config(executors=[ThreadPoolExecutor()])
htex_local = Config(executors=[HighThroughputExecutor(label="htex_local", provider=LocalProvider())])
kubernetes = Config(
    executors=[
        HighThroughputExecutor(
            label="kube-htex",
            cores_per_worker=1,
            max_workers=1,
            provider=KubernetesProvider(image="python:3.11-slim", init_blocks=1),
        )
    ]
)
