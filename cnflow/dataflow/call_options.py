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
from cnflow.dataflow.visible_paths import VisiblePaths
from cnflow.errors import ConfigurationError
from cnflow.model.file import File, clean_files
from cnflow.model.image import NO_IMAGE
from cnflow.model.resources import Resources
from cnflow.model.task import NEVER, RunOptions, TaskToRun
from cnflow.model.task import NO_OPTIONS as NO_RUN_OPTIONS
from cnflow.staging.file_names import safe_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.model.image import Image
    from cnflow.model.visible_files import VisibleFiles
    from cnflow.tasks.staging.items import Leave

SPECIAL = frozenset(
    {"env", "inputs", "keep_remote", "label", "outputs", "resources", "sandbox", "stderr", "stdout", "walltime"}
)
"""Special keywords of a call."""

INHIBIT = "_parsl_staging_inhibit"
"""Keyword by which stagings written for Parsl keep the files of their own tasks from being staged."""

AUTO_LOGNAME = -1
"""Value of ``stdout=`` or ``stderr=``: a file in the run's folder, named after task and app."""

_FROM_DEFAULTS = frozenset({"inputs", "label", "outputs", "stderr", "stdout", "walltime"})
"""Keywords that the default of a parameter can set. They are Parsl's, and mean the same to every function."""

_RESERVABLE = frozenset({"env", "keep_remote", "resources", "sandbox"})
"""Keywords that Parsl does not have. To a function that takes one of that name, it is an ordinary argument."""

_OF_DECORATORS = frozenset({"pipefail"})
"""Options of a call that only `App.options` and the decorator set."""

_LETTERS_OF_A_LABEL = 60

_TASKS_IN_A_FOLDER = 10_000
"""Tasks whose log files share a folder, as in Parsl."""


@dataclass(frozen=True)
class AppOptions:
    """Options of an app, from its decorator."""

    executors: str | Sequence[str] = "all"
    """Label or labels of the executors that may run it, or ``"all"``."""

    image: Image = NO_IMAGE
    """Container image that it runs in, with its settings; an empty one is the bare node."""

    fresh: bool = False
    """Each of its tasks runs in a container of its own, which ends with the task."""

    cache: bool = False
    """Reuse the result of an earlier call with the same code, arguments and image."""

    retries: float | None = None
    """Budget of retries of each task; None is the Config's."""

    ignore_for_cache: Sequence[str] = ()
    """Names of arguments in which two calls may differ and still be the same."""

    apart: str | Callable[[Any], object] = ""
    """Calls of other values are never in one batch; or what gives the value of a call's rows. Of models alone."""

    is_bulk: bool = False
    """Other calls of its model go first."""


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
    pipefail: bool | None = None
    """None is what the Config says."""

    keep_remote: bool | None = None
    """Leave the result on its node, or not, whatever its size; None is what the executor says."""

    inputs: tuple[Any, ...] = ()
    outputs: tuple[File, ...] = ()
    looks_for_outputs: bool = True
    """Fail the task when an output was not made."""

    folder: str = ""
    """The driver's folder at the call, which relative paths mean; empty leaves them to the task's folder."""

    leaves: tuple[Leave, ...] | None = None
    """Outputs and streams that stay on the node as items; None where the task has no files with items."""

    places: Mapping[str, str] = {}
    """Paths on this machine to which items are brought that the task leaves, by their names."""


NO_CALL_OPTIONS = CallOptions()


# Keywords


def accepted_keywords(function: Callable[..., Any]) -> frozenset[str]:
    """Return the special keywords that *function* has parameters for, ``**kwargs`` included; it gets them too."""
    parameters = _parameters_of(function)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return SPECIAL
    return SPECIAL & parameters.keys()


def reserved_keywords(function: Callable[..., Any]) -> frozenset[str]:
    """Return the special keywords that are ordinary arguments of *function*, and no options of its calls."""
    return _RESERVABLE & accepted_keywords(function)


def options_from_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the special keywords that *function* sets by a parameter's default, such as ``stdout="out.txt"``."""
    parameters = _parameters_of(function)
    defaults = {name: parameters[name].default for name in _FROM_DEFAULTS & parameters.keys()}
    return {name: value for name, value in defaults.items() if not _is_unset(value)}


def _parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Parameters of *function* by name; none of a builtin without a signature, or of an object that refuses to tell."""
    try:
        return inspect.signature(function).parameters
    except Exception:  # noqa: BLE001 - ValueError and TypeError, or what a user's __getattr__ raises
        return {}


def parse_call_options(app: str, keywords: Mapping[str, Any], own: Collection[str] = ()) -> CallOptions:
    """Return the special keywords among *keywords*, checked.

    Args:
        app: name of the app, for messages.
        keywords: those of a call and of its app; others are ignored.
        own: special keywords that the function gets as well. A value that cannot be cnflow's is meant for the function
            alone: a label that is no text, inputs and outputs that are no lists.

    Raises:
        ConfigurationError: one is of the wrong type; names it.
    """
    options = {name: keywords[name] for name in SPECIAL | _OF_DECORATORS if keywords.get(name) is not None}
    for name in own:
        if name in options and name in _MEANT_FOR_FUNCTION and _MEANT_FOR_FUNCTION[name](options[name]):
            del options[name]
    if not options:
        return NO_CALL_OPTIONS
    for name, value in options.items():
        wanted, fits = _TYPES.get(name, ("", None))
        if fits is not None and not fits(value):
            raise ConfigurationError(f"{app}({name}=...) must be {wanted}, not {value!r}.")
    if "resources" in options:
        options["resources"] = Resources.of(options["resources"])
    if "env" in options:
        options["env"] = options["env"].copy()
    if "inputs" in options:
        options["inputs"] = tuple(options["inputs"])
    if "outputs" in options:
        is_staging = bool(keywords.get(INHIBIT))  # it may make its outputs on another machine
        options["outputs"] = tuple(_parse_outputs(options["outputs"], keep_local_path=is_staging))
        options["looks_for_outputs"] = not is_staging
    return CallOptions(**options)


# Tasks


def record_call_options(
    options: CallOptions,
    record: TaskRecord,
    autopath: Callable[[TaskRecord, str], Any] | None,
    run_dir: Path,
    visible: VisibleFiles | None = None,
) -> None:
    """Enter *options* into *record* and its future, with names of log files in place of AUTO_LOGNAME.

    Args:
        options: parsed options of the call.
        record: record of the new task.
        autopath: the user's `Config.std_autopath`, which returns the names; None makes them here, in *run_dir*.
        run_dir: folder of the run.
        visible: files that tasks of the record's executor share with the driver; None: all.

    Raises:
        ConfigurationError: *autopath* returned a path that the task would not share with the driver.
    """

    def path_of(name: str, stream: Any) -> Any:  # noqa: ANN401 - a Stream
        if not isinstance(stream, int) or stream != AUTO_LOGNAME:
            return stream
        if autopath is None:
            return _log_path(record, name, options.label, run_dir)
        chosen = autopath(record, name)
        if visible is not None:
            path = chosen[0] if isinstance(chosen, tuple) and chosen else chosen
            VisiblePaths(visible, record.executor, record.app.name, options.folder).check_output(name, path)
        return chosen

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
    made = TaskToRun(task, record.app, args, kwargs, run_options(options), record.kept, record.version)
    return made._replace(places=options.places) if options.places else made


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
        outputs=_outputs(options, is_pattern=False),
        pipefail=bool(options.pipefail),
        resources=options.resources,
        folder=options.folder if options.sandbox else "",
        leaves=options.leaves,
        keep_from=None if options.keep_remote is None else 0 if options.keep_remote else NEVER,
        patterns=_outputs(options, is_pattern=True),
    )


# Values of single options


def _is_unset(default: object) -> bool:
    if default is inspect.Parameter.empty or default is None:
        return True
    return isinstance(default, (str, list, tuple)) and not default


def _is_no_list(value: object) -> bool:
    return not isinstance(value, (list, tuple))


def _is_no_text(value: object) -> bool:
    return not isinstance(value, str)


def _is_neither_list_nor_file(value: object) -> bool:
    return not isinstance(value, (list, tuple, str, bytes, os.PathLike))  # a single file is a mistake


_MEANT_FOR_FUNCTION: Mapping[str, Callable[[Any], bool]] = {
    "inputs": _is_no_list,
    "label": _is_no_text,
    "outputs": _is_neither_list_nor_file,
}


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


_TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "env": ("a dict of names and values", lambda value: isinstance(value, dict)),
    "keep_remote": ("True or False", lambda value: isinstance(value, bool)),
    "inputs": ("a list", lambda value: isinstance(value, (list, tuple))),
    "label": ("a text", lambda value: isinstance(value, str)),
    "pipefail": ("True or False", lambda value: isinstance(value, bool)),
    "sandbox": ("True or False", lambda value: isinstance(value, bool)),
    "walltime": ("a number of seconds above 0", _is_positive),
}


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


def _outputs(options: CallOptions, *, is_pattern: bool) -> Sequence[str]:
    if not options.looks_for_outputs or not options.outputs:
        return ()
    files = tuple(file for file in options.outputs if file.glob is is_pattern)
    return _paths(files, "" if options.sandbox else options.folder) if files else ()


def _paths(values: tuple[Any, ...], folder: str = "") -> list[str]:
    return [_plain_path(value, folder) for value in values if isinstance(value, (str, os.PathLike))]


def _log_path(record: TaskRecord, stream: str, label: str, run_dir: Path) -> str:
    number = record.future.tid
    label = safe_name(label)[:_LETTERS_OF_A_LABEL] if label else ""  # a function's own may be any text
    name = "_".join(part for part in (f"task_{number:04d}", record.app.name, label) if part)
    return os.fspath(Path(run_dir) / "task_logs" / f"{number // _TASKS_IN_A_FOLDER:04d}" / f"{name}.{stream}")
