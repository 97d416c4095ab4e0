"""Finds the images that a script names, in its source: it is not run. No I/O.

``image="app1:0.1"`` of any call, ``Image("app1:0.1", ...)`` wherever it stands, and names that the module sets once to
such a text. What is computed is not found, and is reported by its line.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class NamedImages(NamedTuple):
    """Images that a script names."""

    references: list[str]
    """In the order of the source, each once."""

    computed: list[int]
    """Lines with an ``image=`` whose value only a run would tell."""


def images_in(source: str) -> NamedImages:
    """Return the images that *source* names.

    Raises:
        SyntaxError: it is no Python.
    """
    tree = ast.parse(source)
    texts = dict(_constants(tree))
    references: dict[str, None] = {}
    computed: dict[int, None] = {}
    for value in _image_values(tree):
        reference = _text_of(value, texts)
        if reference:
            references[reference] = None
        elif reference is None:
            computed[value.lineno] = None
    return NamedImages(list(references), sorted(computed))


def _image_values(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if _name_of(node.func) == "Image" and (node.args or node.keywords):
            yield from node.args[:1] or [one.value for one in node.keywords if one.arg == "reference"]
        for keyword in node.keywords:
            is_image_itself = isinstance(keyword.value, ast.Call) and _name_of(keyword.value.func) == "Image"
            if keyword.arg == "image" and not is_image_itself and not _is_none(keyword.value):
                yield keyword.value


def _text_of(value: ast.expr, texts: dict[str, str | None]) -> str | None:
    """Return the text that *value* is; empty for an `Image` that a name stands for; None if only a run would tell."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    if isinstance(value, ast.Name):
        return texts.get(value.id)
    if isinstance(value, ast.Dict):
        for key, part in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "reference":
                return _text_of(part, texts)
    return None


def _constants(tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    """Yield the names that the module sets, each with its text; a name that is set twice has none."""
    seen: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            continue
        name, value = node.targets[0].id, node.value
        if name in seen:
            yield name, None
        elif isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield name, value.value
        elif isinstance(value, ast.Call) and _name_of(value.func) == "Image":
            yield name, ""  # found where it is made
        seen.add(name)


def _name_of(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in {None, ""}
