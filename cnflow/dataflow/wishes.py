"""The keywords of a call that say how its task is run, apart from those that the function itself wants; pure."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ConfigurationError
from cnflow.model.file import File, outputs_of
from cnflow.model.task import RunOptions
from cnflow.staging import Direction, staging_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SPECIAL = frozenset({"env", "inputs", "label", "outputs", "sandbox", "stderr", "stdout", "walltime"})

AUTO_LOGNAME = -1
"""As ``stdout=`` or ``stderr=``: a file in the run's folder, named after task and app."""


class Wishes(NamedTuple):
    """How a task is to be run: what the decorator says, and the call's own word before it."""

    walltime: float | None = None
    env: Mapping[str, str] = {}
    sandbox: bool = False
    stdout: Any = None
    stderr: Any = None
    label: str = ""
    inputs: tuple[Any, ...] = ()
    outputs: tuple[File, ...] = ()


NO_WISHES = Wishes()


def accepted_by(function: Callable[..., Any]) -> frozenset[str]:
    """Which of the special keywords *function* takes itself, by name or by ``**kwargs``; those are passed on to it."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature takes none of ours
        return frozenset()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return SPECIAL
    return SPECIAL & parameters.keys()


def wishes_of(app: str, given: Mapping[str, Any]) -> Wishes:
    """The special keywords in *given*, checked.

    Raises:
        ConfigurationError: one is of the wrong type, or a file is where nothing can fetch it from; names it.
    """
    wishes = {name: given[name] for name in SPECIAL if given.get(name) is not None}
    if "walltime" in wishes and not _is_positive(wishes["walltime"]):
        raise _wrong(app, "walltime", "a number of seconds above 0", wishes["walltime"])
    if "env" in wishes and not isinstance(wishes["env"], dict):
        raise _wrong(app, "env", "a dict of names and values", wishes["env"])
    if "inputs" in wishes:
        if not isinstance(wishes["inputs"], (list, tuple)):
            raise _wrong(app, "inputs", "a list", wishes["inputs"])
        wishes["inputs"] = tuple(wishes["inputs"])
        for file in wishes["inputs"]:
            if isinstance(file, File):
                staging_for(file, None, Direction.IN)
    if "outputs" in wishes:
        wishes["outputs"] = tuple(outputs_of(wishes["outputs"]))
        for file in wishes["outputs"]:
            staging_for(file, None, Direction.OUT)
    return Wishes(**wishes)


def run_options(wishes: Wishes) -> RunOptions:
    """*wishes*, whose inputs are resolved, as a worker is told them.

    Raises:
        ConfigurationError: an input or output has no path here.
    """
    return RunOptions(
        walltime=wishes.walltime,
        stdout=_stream(wishes.stdout),
        stderr=_stream(wishes.stderr),
        env={str(name): str(value) for name, value in wishes.env.items()},
        sandbox=wishes.sandbox,
        inputs=_paths(wishes.inputs) if wishes.sandbox else (),
        outputs=_paths(wishes.outputs),
    )


def _stream(value: Any) -> Any:  # noqa: ANN401 - checked where it is opened
    if value is None:
        return None
    if isinstance(value, tuple):
        path, mode = value
        return os.fspath(path), mode
    return os.fspath(value)


def _paths(values: tuple[Any, ...]) -> list[str]:
    return [os.fspath(value) for value in values if isinstance(value, (str, os.PathLike))]


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _wrong(app: str, name: str, wanted: str, value: object) -> ConfigurationError:
    return ConfigurationError(f"{app}({name}=...) must be {wanted}, not {value!r}.")
