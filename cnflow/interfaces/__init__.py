"""Seams: what an executor, a provider and a staging promise. Implement one of these to extend cnflow."""

from cnflow.interfaces.executor import Executor, Report
from cnflow.interfaces.introspection import Introspectable
from cnflow.interfaces.provider import Provider
from cnflow.interfaces.staging import DataManager, Staging

__all__ = ["DataManager", "Executor", "Introspectable", "Provider", "Report", "Staging"]
