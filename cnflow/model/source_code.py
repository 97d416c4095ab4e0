"""Code that travels as source: compiled where it runs, since bytecode fits one minor version of Python only.

::

    driver: code ──Sources──> Piece: the statement of the file that has the code, and its place there
                                │  pickled as `code_of(piece, name, line)`
                                v
    worker of another Python: compile, exactly one code of that name at that line ──> the same function in this Python

A piece is compiled and never run: functions are made of the code, with the globals, closures and defaults of the
pickle. Worker and driver both keep the pieces of what they compiled, so that a function may come back in a result.
Standard library only.
"""

from __future__ import annotations
import __future__

import os
import sys
from importlib import import_module
from types import CellType, CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from cnflow.errors import PythonMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""Minor version of the Python that runs here, such as ``3.12``; bytecode is the same within a minor version only."""

_FEATURES = tuple(name for name in __future__.all_feature_names if name not in {"nested_scopes", "generators"})
"""Names of the features of `__future__`, whose flags differ from version to version."""


class Piece(NamedTuple):
    """A statement of a file."""

    file: str
    line: int
    """Line of the file at which `text` begins."""

    text: str
    """Whole lines, as they are in the file; an indented statement keeps its indentation."""

    features: tuple[str, ...]
    """Features of `__future__` that the file imports."""

    optimize: int
    """Level of ``-O`` in the driver: whether there are assertions and docstrings."""

    python: str
    """Minor version of the driver."""

    def compile(self) -> CodeType:
        """Compile the piece, with the lines of the file.

        Raises:
            SyntaxError: this Python is older than the syntax.
        """
        # An indented statement is made the body of another one, on the line before.
        is_inner = self.text[:1] in {" ", "\t"}
        text = "\n" * (self.line - 2) + "if 1:\n" + self.text if is_inner else "\n" * (self.line - 1) + self.text
        code: CodeType = compile(
            text, self.file, "exec", flags_of(self.features), dont_inherit=True, optimize=self.optimize
        )
        return code


def features_of(code: CodeType) -> tuple[str, ...]:
    """Return the features of `__future__` with which *code* was compiled."""
    return tuple(name for name in _FEATURES if code.co_flags & getattr(__future__, name).compiler_flag)


def flags_of(features: Sequence[str]) -> int:
    """Return the flags of the compiler for *features*."""
    flags = 0
    for name in features:
        flags |= getattr(__future__, name).compiler_flag
    return flags


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects in *code*, at any depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes_in(constant)


_LIBRARY = os.__file__.rpartition("/")[0]

foreign = False
"""True once this process has loaded code of a driver on another minor version: results are pickled as source then."""

pieces: dict[CodeType, Piece] = {}
"""Code that was compiled here, with its piece."""

_compiled: dict[Piece, dict[tuple[str, int], CodeType]] = {}


def on_code_from(python: str) -> None:
    """Note that code or a class of a driver on the minor version *python* was loaded."""
    global foreign  # noqa: PLW0603 - of this process, as its Python is
    foreign = foreign or python != MINOR


def code_of(piece: tuple[Any, ...], name: str, line: int) -> CodeType:
    """Return the code *name* at *line* of a piece. Pickles call this.

    Raises:
        PythonMismatchError: this Python cannot compile it, or compiles it to something else.
    """
    own = Piece(*piece)
    on_code_from(own.python)
    if own not in _compiled:
        _compiled[own] = _compile(own)
    code = _compiled[own].get((name, line))
    if code is None:
        raise PythonMismatchError(
            f"{name}, at line {line} of {own.file}, was sent as source by Python {own.python}, and Python {MINOR} does "
            "not compile that line to one function of this name. Define it with def, on lines of its own."
        )
    return code


def _compile(piece: Piece) -> dict[tuple[str, int], CodeType]:
    try:
        whole = piece.compile()
    except SyntaxError as error:
        raise PythonMismatchError(
            f"Python {MINOR} does not understand the code that Python {piece.python} has sent: {piece.file}, line "
            f"{error.lineno}: {error.msg}: {(error.text or '').strip()}. Write it in the older syntax, or use an image "
            f"with Python {piece.python}."
        ) from None
    return unique_codes(whole, piece)


def unique_codes(whole: CodeType, piece: Piece) -> dict[tuple[str, int], CodeType]:
    """Return those codes in *whole* whose name and line no other has, and note that they are of *piece*."""
    found: dict[tuple[str, int], Optional[CodeType]] = {}
    for code in codes_in(whole):
        place = code.co_name, code.co_firstlineno
        found[place] = None if place in found else code
    unique = {place: code for place, code in found.items() if code is not None}
    pieces.update(dict.fromkeys(unique.values(), piece))
    return unique


def code_of_library(module: str, path: tuple[str, ...]) -> CodeType:
    """Return the code at *path* in an installed module: a function, and functions in it. Pickles call this.

    Raises:
        PythonMismatchError: the module has no such function here.
    """
    code = code_at(import_module(module), path)
    if code is None:
        raise PythonMismatchError(
            f"{module} has no function {'.<locals>.'.join(path)} in Python {MINOR}, as the driver has: this decorator "
            "or helper is another one here. Call it inside of the function instead of around it."
        )
    return code


def code_at(module: object, path: tuple[str, ...]) -> Optional[CodeType]:
    """Return the code at *path* in *module*; None if it has none there."""
    code: Any = getattr(getattr(module, path[0], None), "__code__", None)
    for name in path[1:]:
        inner = [] if code is None else [each for each in code.co_consts if isinstance(each, CodeType)]
        code = next((each for each in inner if each.co_name == name), None)
    return code if isinstance(code, CodeType) else None


def is_of_standard_library(file: str) -> bool:
    """Return whether *file* is a module of the standard library."""
    return file.startswith(f"{_LIBRARY}/") and "site-packages" not in file


def function_of(code: CodeType, names: dict[str, Any], freevars: tuple[str, ...]) -> Callable[..., Any]:
    """Return a function of *code* whose closure is not filled yet. Pickles call this.

    Raises:
        PythonMismatchError: the code has other free variables in this Python than *freevars*.
    """
    if not set(code.co_freevars) <= set(freevars):
        missing = ", ".join(sorted(set(code.co_freevars) - set(freevars)))
        raise PythonMismatchError(f"{code.co_name} refers to {missing} in Python {MINOR}, and not in the driver's.")
    names["__builtins__"] = __builtins__
    closure = tuple(CellType() for _ in code.co_freevars)
    return FunctionType(code, names, None, None, closure or None)


def globals_of_module(module: str) -> dict[str, Any]:
    """Return the namespace of an installed module. Pickles call this."""
    return vars(import_module(module))


def set_function(function: Any, state: dict[str, Any]) -> None:  # noqa: ANN401 - a function, with attributes
    """Fill a function that `function_of` has made. Pickles call this."""
    function.__globals__.update(state["globals"])
    cells = dict(zip(state["freevars"], state["cells"]))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        found = cells[name]
        if found:
            cell.cell_contents = found[0]
    function.__dict__.update(state["dict"])
    for name, value in state["attributes"].items():
        setattr(function, name, value)
