"""Parsl's ready configurations for any machine; those for single sites are not covered."""

from cnflow.compat.parsl.config import Config
from cnflow.compat.parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.compat.parsl.providers import LocalProvider

local_threads = Config(executors=[ThreadPoolExecutor()])
htex_local = Config(executors=[HighThroughputExecutor(label="htex_local", provider=LocalProvider())])
