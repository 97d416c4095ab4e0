"""Providers of blocks, one folder each. The classes are settings; their live halves are imported on use.

`manager_command` is for the provider of another package: it returns the command that starts a manager on a node.
"""

from cnflow.config.ad_hoc import AdHocProvider
from cnflow.config.azure import AzureProvider
from cnflow.config.cobalt import CobaltProvider
from cnflow.config.condor import CondorProvider
from cnflow.config.existing_pool import ExistingPool
from cnflow.config.gridengine import GridEngineProvider
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.config.lsf import LSFProvider
from cnflow.config.openstack import JetstreamProvider, OpenStackProvider
from cnflow.config.pbs import PBSProProvider, TorqueProvider
from cnflow.config.providers import DockerProvider, LocalProvider, ProviderSettings
from cnflow.config.slurm import SlurmProvider
from cnflow.providers._shared.manager_command import manager_command

__all__ = [
    "AdHocProvider",
    "AzureProvider",
    "CobaltProvider",
    "CondorProvider",
    "DockerProvider",
    "ExistingPool",
    "GridEngineProvider",
    "JetstreamProvider",
    "KubernetesProvider",
    "LSFProvider",
    "LocalProvider",
    "OpenStackProvider",
    "PBSProProvider",
    "ProviderSettings",
    "SlurmProvider",
    "TorqueProvider",
    "manager_command",
]
