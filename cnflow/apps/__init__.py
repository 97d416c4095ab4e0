"""Decorators that turn functions and shell commands into apps."""

from cnflow.apps.app import App, bash_app, join_app, python_app
from cnflow.dataflow.futures.app_future import AppFuture

__all__ = ["App", "AppFuture", "bash_app", "join_app", "python_app"]
