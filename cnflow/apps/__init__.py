"""Decorators that turn functions and shell commands into apps."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cnflow.apps.app import App
from cnflow.apps.decorators import bash_app, join_app, python_app
from cnflow.apps.predict import model_app, predict_app
from cnflow.dataflow.futures.app_future import AppFuture
from cnflow.dataflow.futures.data_future import DataFuture

if TYPE_CHECKING:
    from cnflow.apps.signatures import FutureOf

__all__ = [
    "App",
    "AppFuture",
    "DataFuture",
    "as_value",
    "bash_app",
    "join_app",
    "model_app",
    "predict_app",
    "python_app",
]

T = TypeVar("T")


def as_value(future: FutureOf[T]) -> T:
    """Return *future*, which type checkers then take for its result.

    For futures that they refuse in a call of an app: by keyword, as in ``app(1, scale=as_value(future))``, and among
    values in a container. At run time a call takes futures anywhere, with or without this.
    """
    return future  # type: ignore[return-value]  # its purpose
