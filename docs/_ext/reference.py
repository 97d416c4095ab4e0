# ruff: noqa: INP001 - Sphinx imports it from docs/_ext, which is no package
"""Directives that generate the reference pages from the code, so that the two cannot disagree."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import re
import types
import typing
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from cnflow import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pydantic.fields import FieldInfo
    from sphinx.application import Sphinx

    from cnflow.config import Settings

KIND = "Name of this class in a configuration file; not needed in Python."


class SettingsList(SphinxDirective):
    """``{cnflow-settings} module:Class``: the options of a settings class, with or without those of a base class."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Callable[[str], Any]]] = {"without": str}

    def run(self) -> list[nodes.Node]:
        """Return the class's docstring, then each option with its type, default and meaning."""
        settings = _load(self.arguments[0])
        base = _load(self.options["without"]) if "without" in self.options else None
        options = [
            _option(name, field, _meaning(settings, name))
            for name, field in settings.model_fields.items()
            if _differs(field, base.model_fields.get(name) if base else None)
        ]
        return [*_paragraphs(inspect.getdoc(settings) or ""), nodes.definition_list("", *options)]


class FieldsList(SphinxDirective):
    """``{cnflow-fields} module:Class``: the annotated attributes of a value class, with the docstring under each."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the first paragraph of the class's docstring, then each field with its type and meaning."""
        cls: type = _load(self.arguments[0])
        hints, written = typing.get_type_hints(cls), _docstrings_of_fields(cls)
        items = []
        for name, meaning in written.items():
            term = nodes.term("", "", nodes.literal("", name), *_inline(f": {_words(hints[name])}"))
            items.append(nodes.definition_list_item("", term, nodes.definition("", *_paragraphs(meaning))))
        return [*_paragraphs(inspect.getdoc(cls) or "")[:1], nodes.definition_list("", *items)]


class ErrorsTable(SphinxDirective):
    """``{cnflow-errors}``: every class of cnflow.errors with the first paragraph of its docstring."""

    def run(self) -> list[nodes.Node]:
        """Return a row for each class, in the order of the module."""
        classes = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]
        rows = [[f"``{error.__name__}``", (inspect.getdoc(error) or "").split("\n\n")[0]] for error in classes]
        return [_table(["Error", "Means"], rows)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives with Sphinx."""
    app.add_directive("cnflow-settings", SettingsList)
    app.add_directive("cnflow-fields", FieldsList)
    app.add_directive("cnflow-errors", ErrorsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _load(target: str) -> type[Settings]:
    module, _, name = target.partition(":")
    found: type[Settings] = getattr(importlib.import_module(module), name)
    return found


def _docstrings_of_fields(cls: type) -> dict[str, str]:
    """Name and docstring of each attribute that *cls* annotates, in the order of the source."""
    (tree,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for statement, following in itertools.pairwise([*tree.body, ast.Pass()]):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            is_documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            found[statement.target.id] = inspect.cleandoc(str(following.value.value)) if is_documented else ""  # type: ignore[attr-defined]
    return found


def _differs(field: FieldInfo, inherited: FieldInfo | None) -> bool:
    return inherited is None or (field.default, field.annotation) != (inherited.default, inherited.annotation)


def _meaning(settings: type[Settings], name: str) -> str:
    """The docstring under the option, in the class or in the nearest base that has one."""
    bases = [base for base in settings.__mro__ if name in vars(base).get("__annotations__", ())]
    meanings = (_docstrings_of_fields(base).get(name) for base in bases)
    return next(filter(None, meanings), KIND if name == "kind" else "")


def _option(name: str, field: FieldInfo, meaning: str) -> nodes.definition_list_item:
    default = "required" if field.is_required() else f"default {_default(field)}"
    term = nodes.term("", "", nodes.literal("", name), *_inline(f": {_type(field)}; {default}"))
    return nodes.definition_list_item("", term, nodes.definition("", nodes.paragraph("", "", *_inline(meaning))))


_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "min_length": "length at least"}


def _type(field: FieldInfo) -> str:
    limits = [f"{words} {getattr(m, key)}" for m in field.metadata for key, words in _LIMITS.items() if hasattr(m, key)]
    return ", ".join([_words(field.annotation), *limits])


def _words(annotation: object) -> str:
    """*annotation* in the user's notation."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _words(parts[0])
    if origin is typing.Literal:
        return " or ".join(f"``{part!r}``" for part in parts)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(map(_words, parts))
    if annotation is type(None):
        return "None"
    name = getattr(origin or annotation, "__name__", str(annotation))
    return f"{name} of {', '.join(map(_words, parts))}" if parts else name


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return f"``{value!r}``" if isinstance(value, (str, int, float, dict, type(None))) else f"``{_call(value)}``"


def _call(value: object) -> str:
    """Source text of a call that makes *value*, settings or a list of them."""
    if isinstance(value, list):
        return f"[{', '.join(map(_call, value))}]"
    return f"{type(value).__name__}()"


def _table(titles: list[str], rows: Iterable[list[str]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in titles), cols=len(titles))
    group += nodes.thead("", _row(titles))
    group += nodes.tbody("", *map(_row, rows))
    return nodes.table("", group, classes=["cnflow-reference"])


def _row(cells: list[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *_inline(cell))) for cell in cells))


def _paragraphs(docstring: str) -> list[nodes.Node]:
    return [nodes.paragraph("", "", *_inline(" ".join(text.split()))) for text in docstring.split("\n\n")]


def _inline(text: str) -> Iterator[nodes.Node]:
    """Nodes of *text*; the parts between backticks, single or double, are code."""
    for position, part in enumerate(re.split(r"``([^`]+)``|`([^`]+)`", text)):
        if part:
            yield nodes.Text(part) if position % 3 == 0 else nodes.literal("", part)
