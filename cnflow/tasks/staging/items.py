"""Runs a task whose files travel apart from it; in a worker, after its manager has brought them into the node's area.

::

    area of the node                          folder of the task: removed afterwards
      objects/abcd... ───link──────────────> in/0/a.csv      `File.filepath` of an input; two names never collide
      objects/cdef... ──unpack─ (a tree)──> in/1/images/
                                                  │  the app's function, or command
                                                  v
      partial/...  <──move, with a digest──── out/0/b.csv     `File.filepath` of an output
      partial/...  <───────────────────────── stdout
              └── announced by `inside.leave_item`: kept by the manager, and fetched by the driver

Streams are left whether the task succeeds or fails, outputs only where it succeeds. An input that the task has changed
is announced as well: its manager drops it, for the tasks that come after.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from cnflow.errors import MissingOutputs, StagingError
from cnflow.model.file import File
from cnflow.model.item import Item, ItemForm
from cnflow.tasks import trees
from cnflow.tasks.area import (
    Area,
    Stamp,
    link_object,
    locate,
    make_partial_folder,
    partial_folder,
    root_of_worker,
    stamp_of,
)
from cnflow.tasks.inside import CHANGED, leave_item
from cnflow.wire.blob_digest import digest_of_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.tasks.call import Call

STREAMS = ("stdout", "stderr")


class Leave(NamedTuple):
    """Output or stream of a task that it leaves as an item; plain on the wire."""

    name: str
    """Place: ``outputs/0``, ``stdout`` or ``stderr``."""

    path: str
    """As the user wrote it."""

    kind: str = ""
    """``directory``, ``glob``, or empty for a file."""


class _Input(NamedTuple):
    item: Item
    path: str
    stamp: Optional[Stamp]


def run_with_items(call: Call, run: Callable[[Call], Any]) -> Any:  # noqa: ANN401 - the user's value
    """Place the inputs of *call* in a new folder, *run* it, and leave its outputs in the node's area.

    Raises:
        StagingError: an input is not there, or an output is no file of the kind that the user named.
        MissingOutputs: names the outputs that were not made.
        Exception: what *run* raises.
    """
    leaves = [Leave(*leave) for leave in call.options.leaves or ()]
    if not leaves and not any(file.item is not None for file in files_in((call.args, call.kwargs))):
        return run(call._replace(options=call.options._replace(leaves=None)))
    root = root_of_worker()
    if not root:
        raise StagingError(f"{call.name} has files that travel apart from it, and its manager has no area for them.")
    area = Area(root)
    with area.task_folder() as folder:
        outputs = [leave for leave in leaves if leave.name not in STREAMS]
        inputs, links = _place_inputs(call, folder)
        paths = _place_outputs(call, outputs, folder)
        streams = _streams(call, leaves, folder)
        try:
            value = run(_with_options(call, outputs, streams, links, folder))
            missing = [leave.path for leave, path in zip(outputs, paths) if not _is_made(leave, path)]
            if missing:
                raise MissingOutputs(call.name, missing)
            for leave, path in zip(outputs, paths):
                _leave(area, leave, path, folder)
        finally:
            for leave in leaves:
                if leave.name in STREAMS and os.path.exists(streams[leave.name]):
                    _leave_stream(area, leave, streams[leave.name], folder)
            _report_changes(call.name, inputs)
        _clear_paths(value, folder)
        return value


# Inputs


def _place_inputs(call: Call, folder: str) -> tuple[list[_Input], dict[str, str]]:
    """Give each file with an item a path in *folder*; return what was linked, and paths by those of before."""
    placed: dict[tuple[bytes, str], str] = {}
    linked: list[_Input] = []
    links: dict[str, str] = {}
    for file in files_in((call.args, call.kwargs)):
        item = file.item
        if item is None:
            continue
        before, name = file.path, _name_of(file)
        path = placed.get((item.key, name))
        if path is None:
            place = f"{folder}/in/{len(placed)}"
            path = placed[item.key, name] = f"{place}/{name}"
            os.makedirs(place, exist_ok=True)
            source = _object_of(item, file)
            if item.form == ItemForm.TREE:
                _unpack(source, place if file.glob else path)
            else:
                link_object(source, path)
                linked.append(_Input(item, path, stamp_of(path)))
        file.local_path = links[before] = path
    return linked, links


def _report_changes(app: str, inputs: list[_Input]) -> None:
    """Announce inputs that the task has written to. One that it removed, or replaced by another, is as it was."""
    for item, path, before in inputs:
        after = stamp_of(path)
        if before is not None and after is not None and after.inode == before.inode and after != before:
            leave_item(item.key, item.size, item.form, CHANGED, "")
            sys.stderr.write(
                f"cnflow: {app} has changed its input {os.path.basename(path)!r}. It is dropped from this node, and "
                "sent again for other tasks. Copy an input before you change it.\n"
            )


def _unpack(source: str, path: str) -> None:
    with open(source, "rb") as file:
        trees.unpack(file, path)


def _object_of(item: Item, file: File) -> str:
    try:
        return locate(item.key)
    except FileNotFoundError as error:
        raise StagingError(f"{file.url} is not on this node, though its manager gave the task out: {error}") from None


def _name_of(file: File) -> str:
    """Last part of the file's path; for a pattern, what follows its base."""
    path = file.path
    if file.glob:
        return trees.split_pattern(path).rest
    return os.path.basename(os.path.normpath(path)) or "file"


def files_in(value: object) -> Iterator[File]:
    """Files in *value*, and in the dicts, lists and tuples of it."""
    rest, seen = [value], set()
    while rest:
        part = rest.pop()
        if isinstance(part, File):
            yield part
        elif isinstance(part, (dict, list, tuple)) and id(part) not in seen:  # one may hold itself
            seen.add(id(part))
            rest += reversed(list(part.values()) if isinstance(part, dict) else part)


def _clear_paths(value: object, folder: str) -> None:
    """Have the task's own files in *value*, its result, mean what the user passed: *folder* ends with the task."""
    for file in files_in(value):
        if file.local_path is not None and file.local_path.startswith(f"{folder}/"):
            file.local_path = file.item = None


# Outputs


def _place_outputs(call: Call, outputs: list[Leave], folder: str) -> list[str]:
    """Return a path in *folder* for each of *outputs*, set also in the argument of that name."""
    files = call.kwargs.get("outputs")
    paths = []
    for leave in outputs:
        number = int(leave.name.rpartition("/")[2])
        if call.options.sandbox and not os.path.isabs(leave.path):
            path = f"{folder}/out/{os.path.normpath(leave.path)}"  # the sandbox moves a file of that path there
        elif leave.kind == "glob":
            path = f"{folder}/out/{number}/{trees.split_pattern(leave.path).rest}"
        else:
            path = f"{folder}/out/{number}/{os.path.basename(os.path.normpath(leave.path)) or 'file'}"
        base = trees.split_pattern(path).base if leave.kind == "glob" else os.path.dirname(path)
        os.makedirs(base, exist_ok=True)
        if isinstance(files, list) and number < len(files) and isinstance(files[number], File):
            files[number].local_path = path
        paths.append(path)
    return paths


def _streams(call: Call, leaves: list[Leave], folder: str) -> dict[str, str]:
    """Return the paths in *folder* of the streams that are left; one path where both have one file."""
    streams: dict[str, str] = {}
    by_path: dict[str, str] = {}
    for leave in leaves:
        if leave.name in STREAMS:
            streams[leave.name] = by_path.setdefault(leave.path, f"{folder}/{leave.name}")
            if leave.name in call.kwargs:
                call.kwargs[leave.name] = streams[leave.name]
    return streams


def _with_options(
    call: Call, outputs: list[Leave], streams: dict[str, str], links: dict[str, str], folder: str
) -> Call:
    options = call.options
    changed: dict[str, Any] = {}
    for name, path in streams.items():
        before = getattr(options, name)
        changed[name] = (path, before[1] if isinstance(before, tuple) else "a+")
    if options.sandbox:
        home = options.folder
        changed["inputs"] = [links.get(path, os.path.join(home, path)) for path in options.inputs]
        left = [leave for leave in outputs if not os.path.isabs(leave.path)]
        changed["outputs"] = [*options.outputs, *(leave.path for leave in left if leave.kind != "glob")]
        changed["patterns"] = [*options.patterns, *(leave.path for leave in left if leave.kind == "glob")]
        changed["folder"] = f"{folder}/out"
    return call._replace(options=options._replace(leaves=None, **changed))


def _is_made(leave: Leave, path: str) -> bool:
    return bool(trees.matches(path)) if leave.kind == "glob" else os.path.lexists(path)


def _leave(area: Area, leave: Leave, path: str, folder: str) -> None:
    """Move the output at *path* into *area*, and announce it.

    Raises:
        StagingError: it is a link that leads out of *folder*, or not of the kind that the user named.
    """
    if leave.kind == "glob":
        packed = _pack(leave, folder, lambda file: trees.pack_matches(path, file))
        _announce(area, leave.name, packed, ItemForm.TREE, folder)
        return
    real = os.path.realpath(path)
    if not real.startswith(os.path.realpath(folder) + "/"):
        raise StagingError(
            f"Output {leave.path!r} is a link to {real}, outside of the task's folder, and is not taken from there. "
            "Write or copy the file itself."
        )
    if leave.kind == "directory":
        if not os.path.isdir(real):
            raise StagingError(f"Output {leave.path!r} is no folder, but was named by File(..., directory=True).")
        packed = _pack(leave, folder, lambda file: trees.pack_folder(real, file))
        _announce(area, leave.name, packed, ItemForm.TREE, folder)
    elif os.path.isfile(real):
        may_run = os.stat(real).st_mode & 0o111
        _announce(area, leave.name, real, ItemForm.PROGRAM if may_run else ItemForm.FILE, folder)
    else:
        hint = "a folder: write File(path, directory=True)" if os.path.isdir(real) else "no regular file"
        raise StagingError(f"Output {leave.path!r} is {hint}.")


def _pack(leave: Leave, folder: str, pack: Callable[[Any], object]) -> str:
    packed = f"{folder}/{leave.name.replace('/', '-')}.tar"
    with open(packed, "wb") as file:
        pack(file)
    return packed


def _leave_stream(area: Area, leave: Leave, path: str, folder: str) -> None:
    copy = f"{folder}/{leave.name}.left"
    os.link(path, copy)  # both streams may be one file, and a process that outlives the task may write to it
    _announce(area, leave.name, copy, ItemForm.FILE, folder)


def _announce(area: Area, name: str, path: str, form: ItemForm, folder: str) -> None:
    """Move the file at *path* from the task's *folder* into that for contents on their way, and announce it.

    Only when its digest is known, which takes long: what is in *folder* is removed whatever ends the task.
    """
    number = os.urandom(8).hex()
    left = f"{partial_folder(area.root)}/{os.getpid()}-{number}"
    try:
        make_partial_folder(area.root)
        if os.stat(path).st_nlink > 1:  # it has another name, under which it may be written to
            path = shutil.copyfile(path, f"{folder}/.{number}")
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            key = digest_of_file(file.fileno(), size)
        os.rename(path, left)
    except OSError as error:
        raise StagingError(f"{name} of the task cannot be kept on its node: {error}") from error
    leave_item(key, size, int(form), name, left)
