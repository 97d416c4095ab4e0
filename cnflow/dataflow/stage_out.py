"""Stages out the files of one task: arranged after the task has its future, and before it is launched.

::

    output, stream ──place_of_output──> travels over the task's connection: `LeftFiles`
                   ──stage_out────────> future of the file at its URL
                   ──replace_task_stage_out──> function around the task's
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.call_folder import absolute_file, absolute_path, located_file
from cnflow.dataflow.call_options import accepted_keywords
from cnflow.dataflow.file_routes import FileRoutes, LeftFiles, mode_of
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.dataflow.temporary_files import TemporaryOutputs
from cnflow.model.file import File
from cnflow.model.task import AppKind
from cnflow.staging.built_in import RunFolderStaging, TemporaryFolder
from cnflow.tasks.shell import Command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from cnflow.dataflow.call_options import CallOptions
    from cnflow.dataflow.file_staging import DataManager
    from cnflow.dataflow.task_record import TaskRecord


class StageOut:
    """Arranges that the files of one task are staged out.

    Args:
        manager: data manager of the run.
        label: executor of the task.
        record: record of the task, which is not launched yet.
        routes: choose the stagings.
    """

    def __init__(self, manager: DataManager, label: str, record: TaskRecord, routes: FileRoutes) -> None:
        self._manager = manager
        self._label = label
        self._record = record
        self._routes = routes
        self._temporary = TemporaryOutputs(routes.items, record.future.outputs, manager.run_again)
        self._left = LeftFiles(routes.items, self._temporary)
        self._function: Any = record.app.function
        if record.app.kind is AppKind.BASH:
            self._function = Command(self._function)  # so that wrappers run after the command, not after its making
        self._is_wrapped = False

    def stage_all(self) -> None:
        """Stage outputs and streams, and change the record and its future accordingly."""
        record, future = self._record, self._record.future
        call = record.call_options
        record.kwargs = place_outputs(record.kwargs, call)
        promised = list(call.outputs)
        copies = record.kwargs["outputs"] if "outputs" in record.kwargs else [placed(file, call) for file in promised]
        checked = []
        for number, (file, copy) in enumerate(zip(promised, copies, strict=True)):
            place, staged, is_left = self._stage("outputs", copy)
            if place is not None:
                self._left.add_output(number, copy, place)
                if copy.scheme == "file":
                    future.outputs[number].file_obj = located_file(file, self._routes.folder)
            elif isinstance(self._routes.staging_out("outputs", copy), RunFolderStaging):
                made = future.outputs[number].file_obj
                made.local_path, made.hold = copy.local_path, TemporaryFolder(os.path.dirname(str(copy.local_path)))  # noqa: PTH120 - a text
            if staged is not None:
                future.outputs[number] = DataFuture(staged, file, future.tid)
            if place is None and (staged is not None or is_left):
                checked.append(copy)
        record.call_options = record.call_options._replace(outputs=tuple(checked))
        future.stdout = self._stage_stream("stdout")
        future.stderr = self._stage_stream("stderr")
        self._leave(copies)
        if self._is_wrapped:
            self._manager.wrap(record, self._label, self._function)
        if len(self._left.places) < len(self._left.leaves):
            self._temporary.keep_recipe(record)

    def _leave(self, copies: Sequence[File]) -> None:
        """Enter what the worker has to leave into the options of the task."""
        record, left = self._record, self._left
        if not left.leaves:
            return
        record.call_options = record.call_options._replace(leaves=tuple(left.leaves), places=left.places)
        record.on_items = left.on_items
        if copies and "outputs" not in record.kwargs and "outputs" in accepted_keywords(record.app.original):
            record.kwargs = {**record.kwargs, "outputs": list(copies)}  # its default has other paths

    def _stage_stream(self, name: str) -> Any:  # noqa: ANN401 - the task's future has it as an attribute
        record = self._record
        stream = getattr(record.call_options, name)
        file = file_of(stream)
        if file is None:
            path = path_of(stream)
            if self._routes.stream_travels(name, path):
                self._leave_stream(name, absolute_path(os.fspath(path), self._routes.folder), mode_of(stream))
            return stream
        copy = file.cleancopy()
        place, staged, _ = self._stage(name, copy)
        if place is not None:
            self._leave_stream(name, place, mode_of(stream))
        else:
            self._set_stream(name, (copy, stream[1]) if isinstance(stream, tuple) else copy)
        return DataFuture(record.future if staged is None else staged, file, record.future.tid)

    def _leave_stream(self, name: str, place: str, mode: str) -> None:
        self._left.add_stream(name, place, mode)
        self._set_stream(name, (name, mode))

    def _set_stream(self, name: str, local: Any) -> None:  # noqa: ANN401 - a File, or with its mode
        record = self._record
        record.call_options = record.call_options._replace(**{name: local})
        if name in record.kwargs:
            record.kwargs = {**record.kwargs, name: local}

    def _stage(self, name: str, copy: File) -> tuple[str | None, Future[Any] | None, bool]:
        """Stage one file out.

        Returns:
            Its place on this machine where it travels over the task's connection; the future of the file at its URL;
            and True if the file stays where the task wrote it.
        """
        manager, label = self._manager, self._label
        staging = self._routes.staging_out(name, copy)
        place = staging.place_of_output(manager, label, self._routes.absolute(copy))
        before = copy.local_path
        copy.local_path = place or before  # where `stage_out` takes it from
        staged = staging.stage_out(manager, label, copy, self._record.future)
        if place is not None:
            copy.local_path = before  # the task has one of its node
        wrap = staging.replace_task_stage_out if name == "outputs" else staging.replace_task_stream
        wrapped = wrap(manager, label, copy, self._function)
        if wrapped is not None:
            self._function, self._is_wrapped = wrapped, True
        if staged is not None:
            manager.await_stage_out(staged)
        if staged is not None or wrapped is not None or copy.scheme != "file":
            self._record.memoize = False  # with a cached result, the file would not be made
        return place, staged, wrapped is None and copy.scheme in {"file", "temp"}


def place_outputs(kwargs: dict[str, Any], call: CallOptions) -> dict[str, Any]:
    """Return *kwargs* with copies of its outputs, since the task may change its own."""
    if not kwargs.get("outputs"):
        return kwargs
    outputs = [placed(file, call) if isinstance(file, File) else file for file in kwargs["outputs"]]
    return {**kwargs, "outputs": outputs}


def placed(file: File, call: CallOptions) -> File:
    """Return the copy of an output for the task: its path is absolute, or relative to the sandbox."""
    return file.cleancopy() if call.sandbox else absolute_file(file, call.folder)


def file_of(stream: object) -> File | None:
    """Return the file that *stream* is staged to; a pair of path and mode is a path and needs no staging."""
    if isinstance(stream, tuple) and stream and isinstance(stream[0], File) and stream[0].scheme != "file":
        return stream[0]
    return stream if isinstance(stream, File) else None


def path_of(stream: Any) -> Any:  # noqa: ANN401 - a user's value, checked where it is opened
    """Return the path of a stream that is no file with a staging."""
    return stream[0] if isinstance(stream, tuple) and stream else stream
