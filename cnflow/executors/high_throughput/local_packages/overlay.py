"""Content of local packages, as it is sent: once to each node and worker, under the digest of the content.

::

    current(), before each call ──> a module of the packages was reloaded?          yes: the files are read again
                                    files were added, removed, or have other times or sizes?
                                    ├── and none of them is of a module that is imported here: they are read again
                                    └── else: the content before, until that module is reloaded
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import threading
import time
from importlib.machinery import EXTENSION_SUFFIXES
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ConfigurationError, SerializationError
from cnflow.executors.high_throughput.local_packages.find import find_packages
from cnflow.executors.high_throughput.own_modules.registry import records_of, with_records
from cnflow.ids import FunctionId
from cnflow.tasks.local_packages import PACKAGES, pack
from cnflow.tasks.own_modules import ID_BYTES, RECORD
from cnflow.wire.function_messages import Function

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cnflow.executors.high_throughput.local_packages.find import Found

LARGEST = 64 * 2**20
"""Bytes of all files. They travel in one piece, once to each node."""

_PERIOD = 1.0
"""Most seconds between two looks at the times of files."""

_COST = 20
"""Time between two looks, in times of what a look takes: all of them take at most 5 % of a loop that calls."""

_MOST_FUNCTIONS = 1_000
_LEFT_OUT = frozenset({"__pycache__", "node_modules"})
_COMPILED = (*EXTENSION_SUFFIXES, ".so", ".pyd")


class Overlay(NamedTuple):
    """Local packages at one moment."""

    record: Function
    names: frozenset[str]
    functions: dict[FunctionId, Function]
    """Functions that were sent with it, by the id that they have without."""

    def with_function(self, function: Function) -> Function:
        """Return *function* with these packages, under an id of its own."""
        made = self.functions.get(function.id)
        if made is None:
            identity = FunctionId(hashlib.blake2b(self.record.id + function.id, digest_size=ID_BYTES).digest())
            modules = (self.record.id, *function.modules)
            made = Function(
                identity, function.name, function.kind, function.python, function.body, modules, function.batching
            )
            made = with_records(made, (self.record, *records_of(function)))
            if len(self.functions) >= _MOST_FUNCTIONS:
                self.functions.clear()
            self.functions[function.id] = made
        return made


class PackagedVersion:
    """A `FunctionVersion` with the packages at the same moment; has the attributes of both."""

    __slots__ = ("overlay", "version")

    def __init__(self, version: Any, overlay: Overlay) -> None:  # noqa: ANN401 - a FunctionVersion
        self.version = version
        self.overlay = overlay

    @property
    def packages_id(self) -> bytes:
        """Digest of the packages, for the keys of remembered results."""
        return bytes(self.overlay.record.id)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the attribute
        return getattr(self.version, name)


class LocalPackages:
    """Local packages of one executor. Safe from any thread.

    Args:
        given: names and paths, as the user wrote them.

    Raises:
        ConfigurationError: one of them is not there, has compiled modules, or all are too large.
    """

    def __init__(self, given: Sequence[str]) -> None:
        self._given = list(given)
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._problem: ConfigurationError | None = None
        self._found = find_packages(self._given)
        self._specs: dict[str, object] = {}
        self._signature: set[tuple[str, int, int]] = set()
        self._overlay = self._read()

    def current(self) -> Overlay:
        """Return the packages as they are now; see the module. Called for each task.

        Raises:
            SerializationError: they were changed, and cannot be sent as they are.
        """
        if time.monotonic() >= self._next_look or self._is_reloaded():
            with self._lock:
                self._look_again()
        if self._problem is not None:
            raise SerializationError(str(self._problem)) from self._problem
        return self._overlay

    def _is_reloaded(self) -> bool:
        return any(_spec_of(name) is not spec for name, spec in self._specs.items())

    def _look_again(self) -> None:
        begun = time.monotonic()
        has_new_files = self._has_new_files()
        looked = time.monotonic()
        self._next_look = looked + min(_PERIOD, _COST * (looked - begun))
        try:
            if self._is_reloaded() or has_new_files:
                overlay = self._read()
                if overlay.record.id != self._overlay.record.id:
                    self._overlay = overlay
            self._problem = None
        except ConfigurationError as error:
            self._problem = error

    def _has_new_files(self) -> bool:
        """Return whether files have changed, and none of them is of a module that is imported here as it was before."""
        changed = {path for path, *_ in _signature_of(self._found) ^ self._signature}
        known = {os.path.realpath(getattr(spec, "origin", None) or "") for spec in self._specs.values()}
        if not changed and not self._is_reloaded():
            self._specs = self._loaded()  # with those that were imported meanwhile: their reloads count from now on
        return bool(changed) and not any(os.path.realpath(path) in known for path in changed)

    def _loaded(self) -> dict[str, object]:
        names = {one.name for one in self._found}
        return {name: _spec_of(name) for name in list(sys.modules) if name.partition(".")[0] in names}

    def _read(self) -> Overlay:
        specs, signature = self._loaded(), _signature_of(self._found)  # first: a change meanwhile is seen next time
        files = sorted({path: content for one in self._found for path, content in _content_of(one)}.items())
        size = sum(len(content) for _, content in files)
        if size > LARGEST:
            largest = sorted(files, key=lambda file: -len(file[1]))[:3]
            large = ", ".join(f"{path} ({len(content) >> 20} MiB)" for path, content in largest)
            raise ConfigurationError(
                f"local_packages={self._given} have {size >> 20} MiB, more than {LARGEST >> 20}. The largest files: "
                f"{large}. Install them in the image, or pass paths or arguments for the data."
            )
        digest = hashlib.blake2b(digest_size=ID_BYTES)
        for path, content in files:
            digest.update(f"{path} {len(content)} ".encode() + content)
        names = frozenset(one.name for one in self._found)
        body = pickle.dumps((PACKAGES, (digest.hexdigest(), tuple(sorted(names)), pack(files))), 4)
        self._specs, self._signature = specs, signature
        record = Function(FunctionId(digest.digest()), ", ".join(sorted(names)), RECORD, "", body)
        return Overlay(record, names, {})


def _spec_of(name: str) -> object:
    return getattr(sys.modules.get(name), "__spec__", None)


def _files_of(one: Found) -> Iterator[tuple[str, Path]]:
    """Yield the files of a package: relative path, and path."""
    if one.path.is_file():
        yield one.path.name, one.path
        return
    prefix = one.name.replace(".", "/")
    for folder, folders, files in os.walk(one.path):
        folders[:] = sorted(each for each in folders if each not in _LEFT_OUT and not each.startswith("."))
        for name in sorted(files):
            path = one.path.__class__(folder, name)
            if not name.startswith(".") and not name.endswith(".pyc"):
                yield f"{prefix}/{path.relative_to(one.path).as_posix()}", path


def _content_of(one: Found) -> Iterator[tuple[str, bytes]]:
    for name, path in _files_of(one):
        if name.endswith(_COMPILED):
            raise ConfigurationError(
                f"local_packages: {one.name} has a compiled module, {path}, which fits one Python and one platform "
                "alone. Install the package in the image, or leave it out."
            )
        try:
            yield name, path.read_bytes()
        except FileNotFoundError:
            continue  # a link that leads nowhere, or a file that an editor has just replaced
        except OSError as error:
            raise ConfigurationError(f"local_packages: {one.name} cannot be read: {error}.") from error
    yield from one.metadata


def _signature_of(found: Sequence[Found]) -> set[tuple[str, int, int]]:
    """Return path, time and size of each file."""
    signature = set()
    for one in found:
        for _, path in _files_of(one):
            try:
                status = path.stat()
            except OSError:
                continue
            signature.add((str(path), status.st_mtime_ns, status.st_size))
    return signature
