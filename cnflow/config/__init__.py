"""What the user writes: pydantic models, documented field by field, refused with the nearest name on a typo."""

from cnflow.config.base import Settings
from cnflow.config.config import Config
from cnflow.config.executors import ExecutorSettings, HighThroughputExecutor, ThreadPoolExecutor
from cnflow.config.files import load_config
from cnflow.config.providers import DockerProvider, LocalProvider, ProviderSettings

__all__ = [
    "Config",
    "DockerProvider",
    "ExecutorSettings",
    "HighThroughputExecutor",
    "LocalProvider",
    "ProviderSettings",
    "Settings",
    "ThreadPoolExecutor",
    "load_config",
]
