"""The keywords of a call that say how its task is run, apart from those that the function itself wants; pure."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.dataflow.dependencies import with_results
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.errors import ConfigurationError
from cnflow.model.file import File, outputs_of
from cnflow.model.resources import Resources
from cnflow.model.task import RunOptions, TaskToRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId

SPECIAL = frozenset({"env", "inputs", "label", "outputs", "resources", "sandbox", "stderr", "stdout", "walltime"})

_BY_DEFAULT = frozenset({"inputs", "label", "outputs", "stderr", "stdout", "walltime"})
"""Those that a parameter's default can say; they are the reference's, and mean the same to every function."""

_ITS_OWN = frozenset({"resources"})
"""Not the reference's: where a function has a parameter of that name, it is an argument like any other."""

INHIBIT = "_parsl_staging_inhibit"
"""A keyword by which stagings that were written for the reference keep their own tasks' files from being staged."""

AUTO_LOGNAME = -1
"""As ``stdout=`` or ``stderr=``: a file in the run's folder, named after task and app."""


@dataclass(frozen=True)
class AppOptions:
    """Options of an app, from its decorator."""

    executors: str | Sequence[str] = "all"
    """Label or labels of the executors that may run it, or ``"all"``."""

    image: str = ""
    """Container image that it runs in; empty is the bare node."""

    cache: bool = False
    """Reuse the result of an earlier call with the same code, arguments and image."""

    retries: float | None = None
    """Budget of retries of each task; None is the Config's."""

    ignore_for_cache: Sequence[str] = ()
    """Names of arguments in which two calls may differ and still be the same."""


NO_OPTIONS = AppOptions()


class CallOptions(NamedTuple):
    """How a task is to be run: what the decorator says, and the call's own word before it."""

    walltime: float | None = None
    resources: Resources | None = None
    env: Mapping[str, str] = {}
    sandbox: bool = False
    stdout: Any = None
    stderr: Any = None
    label: str = ""
    inputs: tuple[Any, ...] = ()
    outputs: tuple[File, ...] = ()
    looks_for_outputs: bool = True
    """Whether the task fails when one was not made."""


NO_CALL_OPTIONS = CallOptions()


def accepted_keywords(function: Callable[..., Any]) -> frozenset[str]:
    """Which of the special keywords *function* takes itself, by name or by ``**kwargs``; those are passed on to it."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature takes none of ours
        return frozenset()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return SPECIAL
    return SPECIAL & parameters.keys()


def reserved_keywords(function: Callable[..., Any]) -> frozenset[str]:
    """Which of the keywords are the function's alone, since it has such a parameter: it may mean anything by it."""
    try:
        return _ITS_OWN & inspect.signature(function).parameters.keys()
    except (TypeError, ValueError):
        return frozenset()


def options_from_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The special keywords that *function* gives a value by a parameter's default, such as ``stdout="out.txt"``."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    defaults = {name: parameters[name].default for name in _BY_DEFAULT & parameters.keys()}
    return {name: value for name, value in defaults.items() if value is not inspect.Parameter.empty and _says(value)}


def _says(value: object) -> bool:
    return value is not None and not (isinstance(value, (str, list, tuple)) and not value)


def parse_call_options(app: str, given: Mapping[str, Any]) -> CallOptions:
    """The special keywords in *given*, checked.

    Raises:
        ConfigurationError: one is of the wrong type; names it.
    """
    wishes = {name: given[name] for name in SPECIAL if given.get(name) is not None}
    if "walltime" in wishes and not _is_positive(wishes["walltime"]):
        raise _wrong(app, "walltime", "a number of seconds above 0", wishes["walltime"])
    if "resources" in wishes:
        wishes["resources"] = Resources.of(wishes["resources"])
    if "env" in wishes and not isinstance(wishes["env"], dict):
        raise _wrong(app, "env", "a dict of names and values", wishes["env"])
    if not isinstance(wishes.get("sandbox", False), bool):
        raise _wrong(app, "sandbox", "True or False", wishes["sandbox"])
    if not isinstance(wishes.get("label", ""), str):
        raise _wrong(app, "label", "a text", wishes["label"])
    if "inputs" in wishes:
        if not isinstance(wishes["inputs"], (list, tuple)):
            raise _wrong(app, "inputs", "a list", wishes["inputs"])
        wishes["inputs"] = tuple(wishes["inputs"])
    if "outputs" in wishes:
        is_staging = bool(given.get(INHIBIT))  # which may make its outputs elsewhere, in ways of its own
        wishes["outputs"] = tuple(_outputs(wishes["outputs"], keep_place=is_staging))
        wishes["looks_for_outputs"] = not is_staging
    return CallOptions(**wishes)


def _outputs(given: Any, *, keep_place: bool) -> list[File]:  # noqa: ANN401 - checked here
    files = outputs_of(given)
    if keep_place:
        for file, original in zip(files, given, strict=True):
            file.local_path = getattr(original, "local_path", None)
    return files


def run_options(wishes: CallOptions) -> RunOptions:
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
        outputs=_paths(wishes.outputs) if wishes.looks_for_outputs else (),
        resources=wishes.resources,
    )


def _stream(value: Any) -> Any:  # noqa: ANN401 - checked where it is opened
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return _plain(value)


def _plain(value: Any) -> Any:  # noqa: ANN401 - the same
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _paths(values: tuple[Any, ...]) -> list[str]:
    return [os.fspath(value) for value in values if isinstance(value, (str, os.PathLike))]


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _wrong(app: str, name: str, wanted: str, value: object) -> ConfigurationError:
    return ConfigurationError(f"{app}({name}=...) must be {wanted}, not {value!r}.")


_IN_ONE_FOLDER = 10_000
"""Tasks whose log files share a folder, as in the reference."""


def record_call_options(
    wishes: CallOptions, record: TaskRecord, autopath: Callable[[TaskRecord, str], Any] | None, run_dir: Path
) -> None:
    """Name the files for AUTO_LOGNAME, and tell the task's future of its files."""

    def place(stream: str, wished: Any) -> Any:  # noqa: ANN401 - a Stream
        if not isinstance(wished, int) or wished != AUTO_LOGNAME:
            return wished
        return autopath(record, stream) if autopath is not None else _logname(record, stream, wishes.label, run_dir)

    future = record.future
    future.stdout, future.stderr = place("stdout", wishes.stdout), place("stderr", wishes.stderr)
    future.outputs = [DataFuture(future, file, future.tid) for file in wishes.outputs]
    record.call_options = wishes._replace(stdout=future.stdout, stderr=future.stderr)


def task_to_run(task: TaskId, record: TaskRecord, fill: Callable[[Any], Any] = with_results) -> TaskToRun:
    """The task with results in place of futures, as *fill* puts them there.

    Raises:
        Exception: a container of the user's refuses its results.
    """
    if not record.depends and record.call_options is NO_CALL_OPTIONS:
        return TaskToRun(task, record.app, record.args, record.kwargs)
    args, kwargs = fill(record.args), fill(record.kwargs)
    if record.call_options is NO_CALL_OPTIONS:
        return TaskToRun(task, record.app, args, kwargs)
    wishes = record.call_options._replace(inputs=fill(record.call_options.inputs))
    return TaskToRun(task, record.app, args, kwargs, run_options(wishes))


def _logname(record: TaskRecord, stream: str, label: str, run_dir: Path) -> str:
    number = record.future.tid
    name = "_".join(part for part in (f"task_{number:04d}", record.app.name, label) if part)
    return os.fspath(Path(run_dir) / "task_logs" / f"{number // _IN_ONE_FOLDER:04d}" / f"{name}.{stream}")
