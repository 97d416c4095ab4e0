"""Runtimes: how a command becomes a container on a node. The classes are settings, and pure."""

from cnflow.config.runtimes import AutoRuntime, ContainerRuntime, NoRuntime, RuntimeSettings
from cnflow.runtimes.apptainer import ApptainerRuntime, SingularityRuntime
from cnflow.runtimes.charliecloud import CharliecloudRuntime
from cnflow.runtimes.engines import DockerRuntime, PodmanHPCRuntime, PodmanRuntime
from cnflow.runtimes.shifter import ShifterRuntime

__all__ = [
    "ApptainerRuntime",
    "AutoRuntime",
    "CharliecloudRuntime",
    "ContainerRuntime",
    "DockerRuntime",
    "NoRuntime",
    "PodmanHPCRuntime",
    "PodmanRuntime",
    "RuntimeSettings",
    "ShifterRuntime",
    "SingularityRuntime",
]
