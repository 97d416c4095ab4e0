"""Finds the source of code, for workers of another minor version of Python. Never guesses.

::

    code ──> text of its file, as it was at the first pickle ──┐
         └─> text of its file, or of its cell, as it is now ───┴──> the statement around the line of the code
                                                                             │ compiled again
                                    no function of that name at that line <──┤
              another bytecode: edited since, or changed by a tool <─────────┤
              two functions of one name on one line: lambdas <───────────────┤
                                                                             └──> the very same code: its `Piece`
"""

from __future__ import annotations

import ast
import functools
import io
import linecache
import sys
import threading
from typing import TYPE_CHECKING

from cnflow.errors import SerializationError
from cnflow.executors.high_throughput.syntax_trees import parse
from cnflow.libraries import is_of_library
from cnflow.model.source_code import MINOR, Piece, codes_in, features_of, flags_of, pieces, unique_codes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

_lock = threading.Lock()
_kept: dict[str, str] = {}
"""Text of each file at the first pickle of a function from it: the file may be edited while the run goes on."""


def note(file: str) -> None:
    """Keep the text of *file*, unless that was done before. Called for each code that is pickled."""
    if file not in _kept:
        text = "".join(linecache.getlines(file))
        with _lock:
            _kept.setdefault(file, text)


def is_library(file: str) -> bool:
    """Return whether *file* is of an installed package, or of the standard library."""
    return is_of_library(file)


def piece_of(code: CodeType) -> Piece:
    """Return the source of *code*, which compiles to that very code.

    Raises:
        SerializationError: it has none, or not for certain; says what to do.
    """
    known = pieces.get(code)
    if known is not None and known.file == code.co_filename:
        return known
    note(code.co_filename)
    linecache.checkcache(code.co_filename)
    why = "it was made by exec or eval, or typed where Python keeps no source"
    for text in dict.fromkeys((_kept[code.co_filename], "".join(linecache.getlines(code.co_filename)))):
        if not text:
            continue
        piece = _piece_in(text, code)
        if piece is None:
            why = _EDITED
            continue
        alone = piece.compile()
        # A module's code differs by what the module imports; a cell of a notebook is compiled statement by statement.
        if code not in codes_in(alone) and code not in _codes_of(text, piece.file, piece.features):
            why = _EDITED
        elif (code.co_name, code.co_firstlineno) in unique_codes(alone, piece):
            return piece
        else:
            why = "its line has more than one function of that name, and they cannot be told apart"
    raise SerializationError(
        f"{_name_of(code)} has no source that can be sent: {why}. Define it with def, on lines of its own, in a file "
        "that stays as it is, or in a module."
    )


_EDITED = "its source is not what runs here: it was edited since, or another tool compiled it"


def _name_of(code: CodeType) -> str:
    return f"{code.co_name} ({code.co_filename}, line {code.co_firstlineno})"


def _piece_in(text: str, code: CodeType) -> Piece | None:
    """Return the smallest statement outside of functions and classes that has the line of *code* and compiles alone."""
    try:
        tree = _parsed(text)
    except (SyntaxError, ValueError):
        return None
    statements: list[tuple[int, int]] = []
    body: list[ast.stmt] = tree.body
    while body:
        inner = next(
            (each for each in body if _first_line(each) <= code.co_firstlineno <= (each.end_lineno or 0)), None
        )
        if inner is None or (statements and _first_line(inner) == statements[-1][0]):
            break
        statements.append((_first_line(inner), inner.end_lineno or 0))
        body = [*_statements_in(inner)]
    lines = io.StringIO(text, newline=None).readlines()  # str.splitlines would end lines at form feeds, too
    for first, last in reversed(statements):
        source = "".join(lines[first - 1 : last])
        piece = Piece(code.co_filename, first, source, features_of(code), sys.flags.optimize, MINOR)
        try:
            piece.compile()
        except SyntaxError:  # what stands behind "else:" or "elif" on one line
            continue
        return piece
    return None


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> ast.Module:
    return parse(text, "<source>", is_cell=True)


@functools.lru_cache(maxsize=16)
def _codes_of(text: str, file: str, features: tuple[str, ...]) -> frozenset[CodeType]:
    flags = flags_of(features) | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return frozenset(codes_in(compile(text, file, "exec", flags, dont_inherit=True, optimize=sys.flags.optimize)))


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def _statements_in(statement: ast.stmt) -> Iterator[ast.stmt]:
    """Yield the statements in *statement* that are compiled as if it were not there; none for functions and classes."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return
    for part in ast.iter_child_nodes(statement):
        if isinstance(part, ast.stmt):
            yield part
        elif isinstance(part, (ast.ExceptHandler, ast.match_case)):
            yield from part.body
