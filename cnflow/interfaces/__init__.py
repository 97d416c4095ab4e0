"""Seams: what an executor, a provider and a staging promise. Implement one of these to extend cnflow."""

from cnflow.interfaces.executor import Executor, Report
from cnflow.interfaces.provider import Provider
from cnflow.interfaces.staging import DataManager, Staging
from cnflow.interfaces.telling import Telling

__all__ = ["DataManager", "Executor", "Provider", "Report", "Staging", "Telling"]
