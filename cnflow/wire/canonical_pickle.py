"""Content of a pickle without what differs between two runs of one script: order of sets, ids of the user's classes.

A script that is started again pickles the same function into other bytes: the order of a set of texts is drawn for each
process, and cloudpickle gives each class of ``__main__`` a random id. So the pickle is read into a tree, in which
nothing is imported, called or made, and the tree is hashed::

    bytes ──_Reader──> tree: globals by name, calls as nodes ──_Hasher──> digest
                                                                   ├── sets: sorted
                                                                   ├── id of a class: its place among the ids
                                                                   └── an object that was there before: its place
    bytes without sets and classes of __main__: their own digest

Two pickles of one digest load as the same value, but for the ids of classes; `Content.classes` has these in their
order, so that a class of one process can be found in the other.
"""

from __future__ import annotations

import hashlib
import pickle
from typing import Any, ClassVar, NamedTuple

from cnflow.wire.code_pickler import CLASS_MAKERS

DIGEST_BYTES = 16

_VARIABLE = (b"_make_skeleton_", pickle.EMPTY_SET, pickle.FROZENSET)
"""Bytes that each pickle has of which the same value may have other bytes; by chance they are in others, too."""


class Content(NamedTuple):
    """Content of a pickle."""

    digest: bytes
    classes: tuple[str, ...] = ()
    """Ids that cloudpickle gave the classes of ``__main__`` in it."""


def content_of(body: bytes) -> Content:
    """Return the content of a pickle; a damaged one, or one of an unknown kind, counts as its bytes."""
    if any(mark in body for mark in _VARIABLE):
        try:
            return _content_of_tree(body)
        except Exception:  # noqa: BLE001, S110 - the bytes are a content as well: the task then runs again
            pass
    return Content(hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest())


def _content_of_tree(body: bytes) -> Content:
    import io  # noqa: PLC0415 - only where a run is adopted

    hasher, reader = _Hasher(), _Reader(io.BytesIO(body), buffers=_buffers())
    hasher.add(reader.load())
    hasher.add(reader.nodes)  # a call may be made for its effect: its result is in no other place
    return Content(hasher.digest(), tuple(hasher.classes))


def _buffers() -> Any:  # noqa: ANN401 - an endless iterator
    number = 0
    while True:
        yield _Buffer(number.to_bytes(8, "little"))
        number += 1


class _Buffer(bytes):
    """Stands for a buffer out of band, which has a digest of its own."""


class _Node:
    """An object that the pickle makes by a call, and what is then done with it.

    Args:
        nodes: all of the pickle; this one is added.
        parts: of the call.
    """

    def __init__(self, nodes: list[_Node], *parts: Any) -> None:  # noqa: ANN401 - parts of the tree
        self.parts = list(parts)
        self._nodes = nodes
        nodes.append(self)

    def __call__(self, *args: Any) -> _Node:  # noqa: ANN401 - parts of the tree
        return _Node(self._nodes, "call", self, args)

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401 - a part of the tree
        self.parts.append(("state", state))

    def __setitem__(self, key: Any, value: Any) -> None:  # noqa: ANN401 - parts of the tree
        self.parts.append(("item", key, value))

    def append(self, value: Any) -> None:  # noqa: ANN401 - a part of the tree
        self.parts.append(("append", value))

    def extend(self, values: Any) -> None:  # noqa: ANN401 - parts of the tree
        self.parts.append(("extend", list(values)))

    def add(self, value: Any) -> None:  # noqa: ANN401 - a part of the tree
        self.parts.append(("append", value))


class _Global:
    """A name that the pickle imports."""

    def __init__(self, nodes: list[_Node], module: str, name: str) -> None:
        self.module = module
        self.name = name
        self._nodes = nodes

    def __call__(self, *args: Any) -> _Node:  # noqa: ANN401 - parts of the tree
        return _Node(self._nodes, "call", self, args)


_PythonUnpickler: Any = pickle._Unpickler  # noqa: SLF001 - the one whose steps can be replaced


class _Reader(_PythonUnpickler):  # type: ignore[misc]  # typeshed has no such class
    """Reads a pickle into a tree."""

    dispatch: ClassVar[dict[int, Any]] = dict(_PythonUnpickler.dispatch)

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the standard library's signature
        super().__init__(*args, **kwargs)
        self.nodes: list[_Node] = []

    def find_class(self, module: str, name: str) -> _Global:
        return _Global(self.nodes, module, name)

    def load_newobj(self) -> None:
        args, cls = self.stack.pop(), self.stack.pop()
        self.stack.append(_Node(self.nodes, "new", cls, args))

    def load_newobj_ex(self) -> None:
        kwargs, args, cls = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.stack.append(_Node(self.nodes, "new", cls, args, kwargs))

    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex


class _Hasher:
    """Hashes a tree.

    Attributes:
        classes: ids of classes, in the order of their first appearance.
    """

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._places: dict[int, int] = {}
        self._kept: list[Any] = []
        """Objects in `_places`: none of their ids becomes another's."""

        self.classes: list[str] = []

    def digest(self) -> bytes:
        return self._hash.digest()

    def add(self, value: Any) -> None:  # noqa: ANN401 - a part of the tree
        """Hash *value* with all that is in it; by a stack, since a pickle may be deep."""
        stack = [value]
        while stack:
            part = stack.pop()
            if not isinstance(part, _COMPOUND) or isinstance(part, _Atom):
                self._hash.update(part.text if isinstance(part, _Atom) else _atom(part))
                continue
            place = self._places.get(id(part))
            if place is not None:
                self._hash.update(b"ref %d;" % place)
                continue
            self._places[id(part)] = len(self._places)
            self._kept.append(part)
            stack += reversed(self._opened(part))

    def _opened(self, part: Any) -> list[Any]:  # noqa: ANN401 - a part of the tree
        """Return the parts of a compound value, headed by its kind and their number."""
        if isinstance(part, (set, frozenset)):
            parts: list[Any] = sorted(part, key=_sort_key)
        elif isinstance(part, dict):
            parts = [each for item in part.items() for each in item]
        elif isinstance(part, _Node):
            parts = self._without_id(part.parts)
        else:
            parts = list(part)
        return [_Atom(b"%s %d;" % (type(part).__name__.encode(), len(parts))), *parts]

    def _without_id(self, parts: list[Any]) -> list[Any]:
        """Return the parts of a node, for a class of ``__main__`` with the place of its id instead of that."""
        made_by, args = parts[1], parts[2]
        position = CLASS_MAKERS.get(made_by.name) if isinstance(made_by, _Global) else None
        if position is None or made_by.module != "cloudpickle.cloudpickle" or len(args) <= position:
            return parts
        identity = args[position]
        if identity not in self.classes:
            self.classes.append(identity)
        place = self.classes.index(identity)
        return [*parts[:2], [*args[:position], _Atom(b"class %d;" % place), *args[position + 1 :]], *parts[3:]]


class _Atom(NamedTuple):
    """Bytes for the hash, instead of a value."""

    text: bytes


_COMPOUND = (tuple, list, dict, set, frozenset, _Node)


def _atom(value: Any) -> bytes:  # noqa: ANN401 - a part of the tree
    if isinstance(value, (str, bytes, bytearray)):
        text = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
        return b"%s %d;" % (type(value).__name__.encode(), len(text)) + text
    if isinstance(value, _Global):
        return f"global {value.module} {value.name};".encode()
    if isinstance(value, float):
        return b"float " + value.hex().encode() + b";"
    return f"{type(value).__name__} {value!r};".encode()


def _sort_key(value: Any) -> bytes:  # noqa: ANN401 - a part of the tree
    """Return bytes by which the elements of a set are put into the same order in each process.

    Raises:
        TypeError: an element is an object, which has no such order.
    """
    if isinstance(value, tuple):
        return b"(" + b",".join(map(_sort_key, value)) + b")"
    if isinstance(value, frozenset):
        return b"{" + b",".join(sorted(map(_sort_key, value))) + b"}"
    if isinstance(value, _COMPOUND):
        raise TypeError("an object in a set")
    return _atom(value)
