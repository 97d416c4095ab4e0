"""Seams: the promises of executors, providers, stagings and their helpers. Implement one of them to extend cnflow."""

from cnflow.interfaces.channel import Channel
from cnflow.interfaces.cloud import AnswersPrices, Cloud, HasCloud
from cnflow.interfaces.executor import Executor, Report, RunContext
from cnflow.interfaces.interchange_place import (
    HostsInterchange,
    InheritedCommand,
    InterchangeRequest,
    PlacedInterchange,
)
from cnflow.interfaces.introspection import Introspectable, ReportsStaging
from cnflow.interfaces.items import ItemStore
from cnflow.interfaces.launcher import Launcher
from cnflow.interfaces.provider import BuildsImages, Interruptible, JoinsProviders, OffersPool, Provider
from cnflow.interfaces.runtime import Runtime
from cnflow.interfaces.sink import Sink
from cnflow.interfaces.staging import DataManager, Staging, StagingService

__all__ = [
    "AnswersPrices",
    "BuildsImages",
    "Channel",
    "Cloud",
    "DataManager",
    "Executor",
    "HasCloud",
    "HostsInterchange",
    "InheritedCommand",
    "InterchangeRequest",
    "Interruptible",
    "Introspectable",
    "ItemStore",
    "JoinsProviders",
    "Launcher",
    "OffersPool",
    "PlacedInterchange",
    "Provider",
    "Report",
    "ReportsStaging",
    "RunContext",
    "Runtime",
    "Sink",
    "Staging",
    "StagingService",
]
