"""Seams: what an executor and a provider promise. Implement one of these to extend cnflow."""

from cnflow.interfaces.executor import Executor, Report
from cnflow.interfaces.provider import Provider

__all__ = ["Executor", "Provider", "Report"]
