"""Parses the special keywords of a call (`walltime`, `stdout`, `resources`, ...) and of an app's decorator. No I/O.

::

    decorator ──> AppOptions ──────────────────────> router, cache, retries
    call's keywords ──parse_call_options──> CallOptions
                                                │ record_call_options: names of log files, futures of outputs
                                                v
                                           TaskRecord ──task_to_run──> RunOptions, which the worker gets
"""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.dataflow.call_folder import absolute_path, located_file
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.errors import ConfigurationError
from cnflow.model.file import File, clean_files
from cnflow.model.resources import Resources
from cnflow.model.task import NO_OPTIONS as NO_RUN_OPTIONS
from cnflow.model.task import RunOptions, TaskToRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId

SPECIAL = frozenset({"env", "inputs", "label", "outputs", "resources", "sandbox", "stderr", "stdout", "walltime"})
"""Special keywords of a call."""

INHIBIT = "_parsl_staging_inhibit"
"""Keyword by which stagings written for Parsl keep the files of their own tasks from being staged."""

AUTO_LOGNAME = -1
"""Value of ``stdout=`` or ``stderr=``: a file in the run's folder, named after task and app."""

_FROM_DEFAULTS = frozenset({"inputs", "label", "outputs", "stderr", "stdout", "walltime"})
"""Keywords that the default of a parameter can set. They are Parsl's, and mean the same to every function."""

_RESERVABLE = frozenset({"resources"})
"""Keywords that Parsl does not have. Where a function has a parameter of that name, it is an ordinary argument."""

_TASKS_IN_A_FOLDER = 10_000
"""Tasks whose log files share a folder, as in Parsl."""


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
    """Options of one call; the call's keywords take precedence over the decorator's."""

    walltime: float | None = None
    """Seconds that the task may run."""

    resources: Resources | None = None
    env: Mapping[str, str] = {}
    sandbox: bool = False
    stdout: Any = None
    stderr: Any = None
    label: str = ""
    inputs: tuple[Any, ...] = ()
    outputs: tuple[File, ...] = ()
    looks_for_outputs: bool = True
    """Fail the task when an output was not made."""

    folder: str = ""
    """The driver's folder at the call, which relative paths mean; empty leaves them to the task's folder."""


NO_CALL_OPTIONS = CallOptions()


# Keywords


def accepted_keywords(function: Callable[..., Any]) -> frozenset[str]:
    """Return the special keywords that *function* has parameters for, ``**kwargs`` included; it gets them too."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature takes none of ours
        return frozenset()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return SPECIAL
    return SPECIAL & parameters.keys()


def reserved_keywords(function: Callable[..., Any]) -> frozenset[str]:
    """Return the special keywords that are ordinary arguments of *function*, and no options of its calls."""
    try:
        return _RESERVABLE & inspect.signature(function).parameters.keys()
    except (TypeError, ValueError):
        return frozenset()


def options_from_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the special keywords that *function* sets by a parameter's default, such as ``stdout="out.txt"``."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    defaults = {name: parameters[name].default for name in _FROM_DEFAULTS & parameters.keys()}
    return {name: value for name, value in defaults.items() if not _is_unset(value)}


def parse_call_options(app: str, keywords: Mapping[str, Any]) -> CallOptions:
    """Return the special keywords among *keywords*, checked; *app* is the app's name, for messages.

    Raises:
        ConfigurationError: one is of the wrong type; names it.
    """
    options = {name: keywords[name] for name in SPECIAL if keywords.get(name) is not None}
    if "walltime" in options and not _is_positive(options["walltime"]):
        raise _wrong_type(app, "walltime", "a number of seconds above 0", options["walltime"])
    if "resources" in options:
        options["resources"] = Resources.of(options["resources"])
    if "env" in options:
        if not isinstance(options["env"], dict):
            raise _wrong_type(app, "env", "a dict of names and values", options["env"])
        options["env"] = options["env"].copy()
    if not isinstance(options.get("sandbox", False), bool):
        raise _wrong_type(app, "sandbox", "True or False", options["sandbox"])
    if not isinstance(options.get("label", ""), str):
        raise _wrong_type(app, "label", "a text", options["label"])
    if "inputs" in options:
        if not isinstance(options["inputs"], (list, tuple)):
            raise _wrong_type(app, "inputs", "a list", options["inputs"])
        options["inputs"] = tuple(options["inputs"])
    if "outputs" in options:
        is_staging = bool(keywords.get(INHIBIT))  # it may make its outputs on another machine
        options["outputs"] = tuple(_parse_outputs(options["outputs"], keep_local_path=is_staging))
        options["looks_for_outputs"] = not is_staging
    return CallOptions(**options)


# Tasks


def record_call_options(
    options: CallOptions, record: TaskRecord, autopath: Callable[[TaskRecord, str], Any] | None, run_dir: Path
) -> None:
    """Enter *options* into *record* and its future, with names of log files in place of AUTO_LOGNAME.

    Args:
        options: parsed options of the call.
        record: record of the new task.
        autopath: the user's `Config.std_autopath`, which returns the names; None makes them here, in *run_dir*.
        run_dir: folder of the run.
    """

    def path_of(name: str, stream: Any) -> Any:  # noqa: ANN401 - a Stream
        if not isinstance(stream, int) or stream != AUTO_LOGNAME:
            return stream
        return autopath(record, name) if autopath is not None else _log_path(record, name, options.label, run_dir)

    future = record.future
    future.stdout, future.stderr = path_of("stdout", options.stdout), path_of("stderr", options.stderr)
    future.outputs = [
        DataFuture(future, located_file(file, options.folder) if options.folder else file, future.tid)
        for file in options.outputs
    ]
    record.call_options = options._replace(stdout=future.stdout, stderr=future.stderr)


def task_to_run(task: TaskId, record: TaskRecord, fill: Callable[[Any], Any]) -> TaskToRun:
    """Return the task of *record* with results in place of futures, which *fill* puts there.

    Raises:
        Exception: a user's container refuses its results.
    """
    if not record.depends and record.call_options is NO_CALL_OPTIONS:
        return TaskToRun(task, record.app, record.args, record.kwargs, NO_RUN_OPTIONS, record.kept, record.version)
    args, kwargs = fill(record.args), fill(record.kwargs)
    if record.call_options is NO_CALL_OPTIONS:
        return TaskToRun(task, record.app, args, kwargs, NO_RUN_OPTIONS, record.kept, record.version)
    options = record.call_options._replace(inputs=fill(record.call_options.inputs))
    return TaskToRun(task, record.app, args, kwargs, run_options(options), record.kept, record.version)


def run_options(options: CallOptions) -> RunOptions:
    """Return *options*, with results in place of futures among the inputs, as the worker gets them.

    Raises:
        ConfigurationError: an input or output has no path here.
    """
    return RunOptions(
        walltime=options.walltime,
        stdout=_plain_stream(options.stdout, options.folder),
        stderr=_plain_stream(options.stderr, options.folder),
        env={str(name): str(value) for name, value in options.env.items()},
        sandbox=options.sandbox,
        inputs=_paths(options.inputs) if options.sandbox else (),
        outputs=_paths(options.outputs, "" if options.sandbox else options.folder) if options.looks_for_outputs else (),
        resources=options.resources,
        folder=options.folder if options.sandbox else "",
    )


# Values of single options


def _is_unset(default: object) -> bool:
    if default is inspect.Parameter.empty or default is None:
        return True
    return isinstance(default, (str, list, tuple)) and not default


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _wrong_type(app: str, name: str, wanted: str, value: object) -> ConfigurationError:
    return ConfigurationError(f"{app}({name}=...) must be {wanted}, not {value!r}.")


def _parse_outputs(outputs: Any, *, keep_local_path: bool) -> list[File]:  # noqa: ANN401 - checked here
    files = clean_files(outputs)
    if keep_local_path:
        for file, original in zip(files, outputs, strict=True):
            file.local_path = getattr(original, "local_path", None)
    return files


def _plain_stream(stream: Any, folder: str) -> Any:  # noqa: ANN401 - checked where it is opened
    """Return *stream* as the worker gets it: an absolute path, or one with a mode."""
    if isinstance(stream, tuple):
        return (_plain_path(stream[0], folder), *stream[1:]) if stream else stream
    return _plain_path(stream, folder)


def _plain_path(value: Any, folder: str) -> Any:  # noqa: ANN401 - the same
    """Return the path of *value* as a text; a relative one is relative to *folder*, unless it is that of a copy."""
    if isinstance(value, File) and value.scheme != "file":
        return os.fspath(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return absolute_path(value, folder) if isinstance(value, str) and value else value


def _paths(values: tuple[Any, ...], folder: str = "") -> list[str]:
    return [_plain_path(value, folder) for value in values if isinstance(value, (str, os.PathLike))]


def _log_path(record: TaskRecord, stream: str, label: str, run_dir: Path) -> str:
    number = record.future.tid
    name = "_".join(part for part in (f"task_{number:04d}", record.app.name, label) if part)
    return os.fspath(Path(run_dir) / "task_logs" / f"{number // _TASKS_IN_A_FOLDER:04d}" / f"{name}.{stream}")
