"""Settings that the user writes: pydantic models, documented by field; typos are refused with the nearest name."""

from cnflow.config.ad_hoc import AdHocProvider
from cnflow.config.azure import AzureProvider
from cnflow.config.base import Settings
from cnflow.config.budget import Budget
from cnflow.config.cobalt import CobaltProvider
from cnflow.config.condor import CondorProvider
from cnflow.config.config import Config
from cnflow.config.dashboard import Dashboard
from cnflow.config.ec2 import EC2Provider
from cnflow.config.engine_executors import FuturesExecutor, MPIPoolExecutor
from cnflow.config.executors import ExecutorSettings, HighThroughputExecutor, ThreadPoolExecutor
from cnflow.config.existing_pool import ExistingPool
from cnflow.config.files import load_config
from cnflow.config.google_cloud import GoogleCloudProvider
from cnflow.config.gridengine import GridEngineProvider
from cnflow.config.http_front import HttpSettings
from cnflow.config.image import Credentials, Image, Mount, Secret
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.config.log_files import LogFiles
from cnflow.config.lsf import LSFProvider
from cnflow.config.monitoring import MonitoringHub
from cnflow.config.openstack import JetstreamProvider, OpenStackProvider
from cnflow.config.pbs import PBSProProvider, TorqueProvider
from cnflow.config.providers import DockerProvider, LocalProvider, ProviderSettings
from cnflow.config.serving import ModelConfig, ServeConfig, VersionConfig
from cnflow.config.sinks import JsonLinesSink, OpenTelemetrySink, SinkSettings
from cnflow.config.slurm import SlurmProvider
from cnflow.config.ways import DialIn, Listen, Tunnel

AWSProvider = EC2Provider
"""The name that Parsl has for it."""

__all__ = [
    "AWSProvider",
    "AdHocProvider",
    "AzureProvider",
    "Budget",
    "CobaltProvider",
    "CondorProvider",
    "Config",
    "Credentials",
    "Dashboard",
    "DialIn",
    "DockerProvider",
    "EC2Provider",
    "ExecutorSettings",
    "ExistingPool",
    "FuturesExecutor",
    "GoogleCloudProvider",
    "GridEngineProvider",
    "HighThroughputExecutor",
    "HttpSettings",
    "Image",
    "JetstreamProvider",
    "JsonLinesSink",
    "KubernetesProvider",
    "LSFProvider",
    "Listen",
    "LocalProvider",
    "LogFiles",
    "MPIPoolExecutor",
    "ModelConfig",
    "MonitoringHub",
    "Mount",
    "OpenStackProvider",
    "OpenTelemetrySink",
    "PBSProProvider",
    "ProviderSettings",
    "Secret",
    "ServeConfig",
    "Settings",
    "SinkSettings",
    "SlurmProvider",
    "ThreadPoolExecutor",
    "TorqueProvider",
    "Tunnel",
    "VersionConfig",
    "load_config",
]
