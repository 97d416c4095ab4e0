"""Makes the first and the last event of a run: who runs what, and how many tasks of it there were."""

from __future__ import annotations

import getpass
import os
import platform
import re
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from cnflow import __version__
from cnflow.model.events import RunEvent
from cnflow.model.task import TaskState
from cnflow.text import mask_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cnflow.config import Config

_LONGEST_VALUE = 200
_SECRET = re.compile(r"key|passw|secret|token|credential|auth|environment|\benv\b", re.IGNORECASE)
_DEEPEST = 8


def run_event(config: Config, run_dir: Path, run: str) -> RunEvent:
    """Return the event of the beginning of run *run* of *config* in *run_dir*."""
    monitoring = getattr(config, "monitoring", None)
    script = script_of(sys.argv)
    return RunEvent(
        time=time.time(),
        run=run,
        state="running",
        name=getattr(monitoring, "workflow_name", None) or os.path.basename(script) or "python",  # noqa: PTH119 - a text
        version=str(getattr(monitoring, "workflow_version", None) or ""),
        host=os.uname().nodename,
        user=_user(),
        folder=os.fspath(run_dir),
        script=script,
        python=platform.python_version(),
        cnflow=__version__,
        config=config_text(config),
        pid=os.getpid(),
    )


def end_event(begun: RunEvent, counts: Mapping[TaskState, int]) -> RunEvent:
    """Return the event of the end of the run that began with *begun*; *counts* are its tasks by their state."""
    return msgspec.structs.replace(
        begun,
        time=time.time(),
        state="ended",
        config="",
        tasks=sum(counts.values()),
        done=counts.get(TaskState.DONE, 0),
        failed=counts.get(TaskState.FAILED, 0) + counts.get(TaskState.DEPENDENCY_FAILED, 0),
        cancelled=counts.get(TaskState.CANCELLED, 0),
    )


def script_of(argv: list[str]) -> str:
    """Return the path of the script; empty for an interactive session."""
    return os.path.abspath(argv[0]) if argv and argv[0] and argv[0] not in {"-c", "-m"} else ""  # noqa: PTH100 - a text


def config_text(config: Config) -> str:
    """Return the options of *config* that were set, as JSON, without what may be secret."""
    return msgspec.json.encode(_plain(config, 0)).decode()


def _plain(value: object, depth: int) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return mask_url(value)[:_LONGEST_VALUE]
    if depth > _DEEPEST:
        return type(value).__name__
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(name): _hidden(str(name), item, depth) for name, item in value.items()}
    return _plain_object(value, depth)


def _plain_object(value: object, depth: int) -> object:
    """Return the options of a part of the settings that were set; of anything else the name."""
    fields: set[str] | None = getattr(value, "model_fields_set", None)
    if fields is None:
        name = getattr(value, "__qualname__", None)
        return name if isinstance(name, str) else type(value).__name__
    kind: dict[str, object] = {"": type(value).__name__}
    return kind | {name: _hidden(name, getattr(value, name, None), depth) for name in sorted(fields)}


def _hidden(name: str, value: object, depth: int) -> object:
    return "***" if value and _SECRET.search(name) else _plain(value, depth + 1)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return str(os.getuid())
