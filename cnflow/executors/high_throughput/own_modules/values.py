"""Values of a module's globals: those that can be compared by content, and whether they are what they were. No I/O.

A value is *plain* if it is made of numbers, texts, paths, dates, containers of these, and objects that have such
attributes alone. Whether one was changed, in
place or by assignment, is asked for each call; a container costs about 20 ns for each of its elements.
"""

from __future__ import annotations

import ast
import marshal
import operator
import pickle
from itertools import chain
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cnflow.tasks.arguments import ATOMS
from cnflow.tasks.plain_instances import is_plain_instance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

_CONSTANTS = frozenset({"datetime", "decimal", "fractions", "pathlib", "uuid", "ipaddress", "zoneinfo"})
"""Modules of the standard library whose values are plain, and cannot change."""

_CONTAINERS = (list, dict, set, frozenset, tuple, bytearray)
_MOST_COMPARED = 2**18
"""Bytes of a pickled container up to which its content is compared; of a larger one, the length is."""


def is_plain(value: object) -> bool:
    """Return whether *value* is made of plain values alone."""
    try:
        return _is_plain(value)
    except RecursionError:  # it is deep, or holds itself
        return False


def _is_plain(value: object) -> bool:
    kind = type(value)
    if kind in ATOMS:
        return kind is not object
    if kind is SimpleNamespace or is_plain_instance(kind):
        return _is_plain(vars(value))
    if kind is dict:
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))  # type: ignore[call-overload, attr-defined]
    if kind in _CONTAINERS:
        return kind is bytearray or all(map(_is_plain, value))  # type: ignore[call-overload]
    return kind.__module__.partition(".")[0] in _CONSTANTS


def fingerprint(value: Any) -> bytes:  # noqa: ANN401 - any plain value
    """Return bytes that two plain values have in common only if they are equal, and of the same types."""
    try:
        return marshal.dumps(value, 2)
    except ValueError:  # holds something that is not a builtin
        return pickle.dumps(value)


def literals(tree: ast.Module) -> dict[str, object]:
    """Values of the globals of a module, and of the attributes of its classes, that are assigned as literals, once."""
    found: dict[str, object] = {}
    for prefix, body in [("", tree.body)] + [(f"{c.name}.", c.body) for c in tree.body if isinstance(c, ast.ClassDef)]:
        seen: set[str] = set()
        for node in body:
            value = _literal_in(node)
            for target in _targets(node):
                if target in seen or value is _NONE:
                    found.pop(prefix + target, None)
                else:
                    found[prefix + target] = value
                seen.add(target)
    return found


_NONE = object()


def _literal_in(node: ast.stmt) -> object:
    """Value of an assignment of a literal to names; `_NONE` of anything else."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or not all(isinstance(each, ast.Name) for each in targets):
        return _NONE
    try:
        return _NONE if node.value is None else ast.literal_eval(node.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _NONE


def _targets(node: ast.stmt) -> list[str]:
    """Names that the statement, and what is nested in it, assigns."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]


class Snapshot:
    """Values of some namespaces at one moment.

    Equal values count as the same ones, which is known fastest: without a call of Python's for each.

    Args:
        spaces: namespaces of a module and of its classes, with the beginnings of the paths of their names.
    """

    __slots__ = ("_content", "_lengths", "_reads", "_spaces", "_values", "named")

    def __init__(self, spaces: Sequence[tuple[str, Mapping[str, object]]]) -> None:
        self._spaces = [space for _, space in spaces]
        self._values = [*chain.from_iterable(map(_values_of, self._spaces))]
        self.named = {prefix + name: value for prefix, space in spaces for name, value in [*space.items()]}
        """Values by the paths of their names."""

        self._reads: list[tuple[Mapping[str, Any], str]] = []
        self._lengths: list[tuple[Any, int]] = []
        for space in self._spaces:
            for name, value in [*space.items()]:
                may_change = type(value) in _CHANGEABLE or is_plain_instance(type(value))
                if may_change and not (name.startswith("__") and name.endswith("__")):
                    self._add(space, name, value)
        self._content = self._fingerprint()

    def _add(self, space: Mapping[str, Any], name: str, value: Any) -> None:  # noqa: ANN401 - the user's
        if is_plain(value) and len(fingerprint(value)) <= _MOST_COMPARED:
            self._reads.append((space, name))
        elif hasattr(value, "__len__"):
            self._lengths.append((value, len(value)))

    def _fingerprint(self) -> bytes:
        return fingerprint([space[name] for space, name in self._reads]) if self._reads else b""

    def joined(self, others: Sequence[Snapshot]) -> Snapshot:
        """Return a snapshot of these namespaces and those of *others*, to compare all at once."""
        made: Snapshot = object.__new__(Snapshot)
        made.named = {}
        made._spaces, made._values, made._reads, made._lengths = (
            [each for snapshot in (self, *others) for each in getattr(snapshot, part)]
            for part in ("_spaces", "_values", "_reads", "_lengths")
        )
        made._content = made._fingerprint()
        return made

    def is_current(self) -> bool:
        """Return whether the namespaces have the same values. Called for each task."""
        try:
            if [*chain.from_iterable(map(_values_of, self._spaces))] != self._values:
                return False
            if self._reads and self._fingerprint() != self._content:
                return False
        except Exception:  # noqa: BLE001 - a value that is compared with another one may do anything
            return False
        return not self._lengths or all(len(value) == size for value, size in self._lengths)


_values_of = operator.methodcaller("values")
_CHANGEABLE: frozenset[type] = frozenset({list, dict, set, bytearray, tuple, SimpleNamespace})


def spaces_of(module: ModuleType) -> list[tuple[str, Mapping[str, object]]]:
    """Namespaces of *module* and of the classes that it defines."""
    own = [each for each in [*vars(module).values()] if isinstance(each, type) and each.__module__ == module.__name__]
    classes = {each.__qualname__: each for each in own if "." not in each.__qualname__}
    return [("", vars(module)), *((f"{name}.", vars(cls)) for name, cls in classes.items())]
