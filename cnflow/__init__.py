"""Run Python functions and shell commands in containers, anywhere, as a dataflow graph.

The public names are resolved on first use (PEP 562), so that ``import cnflow`` costs next to nothing and loads no SDK:
the same package is imported by a worker inside a user's image, where only the standard library is certain.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.apps import AppFuture, bash_app, join_app, model_app, predict_app, python_app
    from cnflow.assemble import clear, dfk, load, wait_for_current_tasks
    from cnflow.config import Budget, Config
    from cnflow.dataflow import DataFlowKernel
    from cnflow.dataflow.call_options import AUTO_LOGNAME
    from cnflow.dataflow.memo.checkpoint_paths import get_all_checkpoints, get_last_checkpoint
    from cnflow.dataflow.references.ref import Ref, put
    from cnflow.graph_drawing import graph
    from cnflow.logs import set_file_logger, set_stream_logger
    from cnflow.model.file import File
    from cnflow.model.image import Image
    from cnflow.model.image_parts import Credentials, Mount, Secret
    from cnflow.model.resources import Resources
    from cnflow.pool import PoolExecutor
    from cnflow.progress_bar import progress
    from cnflow.serving.serve import Serve

__version__ = "0.1.0"

__all__ = [
    "AUTO_LOGNAME",
    "AppFuture",
    "Budget",
    "Config",
    "Credentials",
    "DataFlowKernel",
    "File",
    "Image",
    "Mount",
    "PoolExecutor",
    "Provenance",
    "Ref",
    "Resources",
    "Secret",
    "Serve",
    "bash_app",
    "clear",
    "dfk",
    "get_all_checkpoints",
    "get_last_checkpoint",
    "graph",
    "join_app",
    "load",
    "model_app",
    "predict_app",
    "progress",
    "put",
    "python_app",
    "set_file_logger",
    "set_stream_logger",
    "wait_for_current_tasks",
]

_HOMES = {
    "AUTO_LOGNAME": "cnflow.dataflow.call_options",
    "AppFuture": "cnflow.apps",
    "Budget": "cnflow.config",
    "Config": "cnflow.config",
    "Credentials": "cnflow.model.image_parts",
    "DataFlowKernel": "cnflow.dataflow",
    "File": "cnflow.model.file",
    "Image": "cnflow.model.image",
    "Mount": "cnflow.model.image_parts",
    "PoolExecutor": "cnflow.pool",
    "Provenance": "cnflow.model.provenance",
    "Ref": "cnflow.dataflow.references.ref",
    "Resources": "cnflow.model.resources",
    "Secret": "cnflow.model.image_parts",
    "Serve": "cnflow.serving.serve",
    "bash_app": "cnflow.apps",
    "clear": "cnflow.assemble",
    "dfk": "cnflow.assemble",
    "get_all_checkpoints": "cnflow.dataflow.memo.checkpoint_paths",
    "get_last_checkpoint": "cnflow.dataflow.memo.checkpoint_paths",
    "graph": "cnflow.graph_drawing",
    "join_app": "cnflow.apps",
    "load": "cnflow.assemble",
    "model_app": "cnflow.apps",
    "predict_app": "cnflow.apps",
    "progress": "cnflow.progress_bar",
    "put": "cnflow.dataflow.references.ref",
    "python_app": "cnflow.apps",
    "set_file_logger": "cnflow.logs",
    "set_stream_logger": "cnflow.logs",
    "wait_for_current_tasks": "cnflow.assemble",
}


def __getattr__(name: str) -> object:
    """Import the public *name* from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cnflow' has no attribute {name!r}. Known: {', '.join(__all__)}")
    try:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:  # in a container, which has no driver
        from cnflow.tasks.plain_apps import stand_in  # noqa: PLC0415 - only there

        value = stand_in(name, error)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
