"""Types of a model's rows and results, from the annotations of its functions; checks by pydantic where it is installed.

::

    def predict(rows: list[Row]) -> list[Answer]      row type Row, result type Answer
    def predict(rows: numpy.ndarray) -> ...           any numbers; the function gets one array
    def predict(rows)                                 anything

Without pydantic, numbers, texts, booleans and lists of them are checked, and other types are not.
"""

from __future__ import annotations

import collections.abc
import contextlib
import inspect
import sys
import typing
from typing import Any, Callable, Mapping, NamedTuple, Optional, Union

from cnflow.errors.apps import InvalidRowsError
from cnflow.tasks import image_packages

_LISTS = {list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection, tuple}
_ITERATORS = {
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
}


class Types(NamedTuple):
    """Types of a function of a model; `Any` where there is no annotation."""

    row: Any = Any
    result: Any = Any
    """Of one row; of ``stream``, of a piece."""

    is_array: bool = False
    """The rows are one array of NumPy."""

    takes_objects: bool = False
    """That array may be of texts or objects."""

    options: tuple[tuple[str, Any, Any], ...] = ()
    """Name, type and default of each further parameter; `inspect.Parameter.empty` for no default."""

    warning: str = ""
    """Why the annotations are not used, if they cannot be read."""


def read(function: Any, *, takes_one: bool = False) -> Types:  # noqa: ANN401 - the user's
    """Return the types of *function*, whose first parameter takes rows, or one row if *takes_one*."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return Types()
    target = getattr(function, "func", function)
    target = target if inspect.isroutine(target) else type(target).__call__
    try:
        hints = _hints(target)
    except Exception as error:  # noqa: BLE001 - names that are not there, syntax of a newer Python
        return Types(warning=f"the annotations of {getattr(target, '__name__', target)} cannot be used: {error}")
    options = tuple(
        (each.name, hints.get(each.name, Any), each.default)
        for each in parameters[1:]
        if each.kind in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}
    )
    rows = hints.get(parameters[0].name, Any) if parameters else Any
    result = hints.get("return", Any)
    if takes_one:
        return Types(rows, _element(result, _ITERATORS | _LISTS), options=options)
    if _is_array(rows):
        return Types(Any, _element(result, _LISTS), True, "object" in str(rows) or "str" in str(rows), options)
    return Types(_element(rows, _LISTS), _element(result, _LISTS), options=options)


def checker(model: str, types: Types) -> Optional[Callable[[Any], Any]]:
    """Return a function that checks and converts a list of rows, or one row; None if there is nothing to check."""
    if types.row is Any or types.is_array:
        return None
    pydantic = image_packages.pydantic()
    if pydantic is None:
        return _plain_checker(model, types.row)
    try:
        adapter = adapter_of(typing.List[types.row])  # type: ignore[name-defined]  # made here
    except Exception as error:  # noqa: BLE001 - a type that pydantic cannot check
        sys.stderr.write(f"{model}: its rows are not checked as annotated, since pydantic cannot use that: {error}\n")
        return _plain_checker(model, types.row)

    def check(rows: Any) -> Any:  # noqa: ANN401 - from JSON
        try:
            return adapter.validate_python(rows)
        except pydantic.ValidationError as error:
            raise InvalidRowsError(model, _details(error, [])) from None

    return check


def option_checker(model: str, types: Types) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return a function that checks and converts the options of one call; those of unusable types stay as they are."""
    pydantic = image_packages.pydantic()
    adapters: dict[str, Any] = {}
    for name, kind, _ in types.options:
        if pydantic is not None and not is_any(kind):
            with contextlib.suppress(Exception):  # a type that pydantic cannot check
                adapters[name] = adapter_of(kind)
    kinds = {name: kind for name, kind, _ in types.options} if pydantic is None else {}
    optional = {name for name, _, default in types.options if default is None}

    def check(options: Mapping[str, Any]) -> dict[str, Any]:
        read = dict(options)
        details: list[dict[str, Any]] = []
        for name, value in options.items():
            if value is None and name in optional:
                continue
            if name in adapters:
                try:
                    read[name] = adapters[name].validate_python(value)
                except pydantic.ValidationError as error:
                    details += _details(error, ["options", name])
            for loc, wanted in _wrong(value, kinds.get(name, Any)):
                details.append({"loc": ["options", name, *loc], "msg": f"it must be {wanted}", "type": "wrong_type"})
        if details:
            raise InvalidRowsError(model, details)
        return read

    return check


def _details(error: Any, before: list[Any]) -> list[dict[str, Any]]:  # noqa: ANN401 - pydantic's ValidationError
    wrong = error.errors(include_url=False, include_context=False, include_input=False)
    return [{"loc": [*before, *each["loc"]], "msg": each["msg"], "type": each["type"]} for each in wrong]


def adapter_of(kind: Any) -> Any:  # noqa: ANN401 - a type, and pydantic's TypeAdapter
    """Return pydantic's adapter of *kind*.

    Raises:
        Exception: pydantic is missing, or cannot use *kind*.
    """
    return image_packages.pydantic().TypeAdapter(_usable(kind))


def _usable(kind: Any) -> Any:  # noqa: ANN401 - types
    """Return *kind* with TypedDicts that pydantic takes: below Python 3.12 only those of typing_extensions."""
    if sys.version_info >= (3, 12):
        return kind
    if isinstance(kind, type) and type(kind).__module__ == "typing" and hasattr(kind, "__required_keys__"):
        extensions = image_packages.typing_extensions()
        optional: Any = kind.__optional_keys__  # type: ignore[attr-defined]  # of a TypedDict
        fields = {name: _usable(each) for name, each in typing.get_type_hints(kind).items()}
        fields = {name: extensions.NotRequired[each] if name in optional else each for name, each in fields.items()}
        return extensions.TypedDict(kind.__name__, fields)
    arguments = typing.get_args(kind)
    usable = tuple(_usable(each) for each in arguments)
    if usable == arguments or typing.get_origin(kind) is None:
        return kind
    return kind.copy_with(usable) if hasattr(kind, "copy_with") else typing.get_origin(kind)[usable]


def is_any(kind: Any) -> bool:  # noqa: ANN401 - a type
    """Return True if *kind* says nothing."""
    return kind is Any or kind is inspect.Parameter.empty or isinstance(kind, typing.TypeVar)


def _hints(target: Any) -> dict[str, Any]:  # noqa: ANN401 - the user's
    has_extras = "include_extras" in inspect.signature(typing.get_type_hints).parameters  # from Python 3.9 on
    keywords: dict[str, Any] = {"include_extras": True} if has_extras else {}
    return typing.get_type_hints(target, **keywords)


def _element(kind: Any, containers: set[Any]) -> Any:  # noqa: ANN401 - types
    """Return the type of the elements of *kind*; Any if it says nothing on them."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in containers and arguments:
        element = arguments[0]
        return Any if is_any(element) else element
    return Any


def _is_array(kind: Any) -> bool:  # noqa: ANN401 - a type
    found = typing.get_origin(kind) or kind
    return getattr(found, "__module__", "").partition(".")[0] == "numpy" and found.__name__ == "ndarray"


# Without pydantic

_NUMBER, _TEXT, _BOOLEAN = "a number", "a text", "true or false"
_CHECKS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    float: (_NUMBER, lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)),
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    str: (_TEXT, lambda value: isinstance(value, str)),
    bool: (_BOOLEAN, lambda value: isinstance(value, bool)),
    dict: ("an object", lambda value: isinstance(value, dict)),
    list: ("a list", lambda value: isinstance(value, list)),
}


def _plain_checker(model: str, kind: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - a type
    def check(rows: Any) -> Any:  # noqa: ANN401 - from JSON
        details = [
            {"loc": [index, *loc], "msg": f"it must be {wanted}", "type": "wrong_type"}
            for index, row in enumerate(rows)
            for loc, wanted in _wrong(row, kind)
        ]
        if details:
            raise InvalidRowsError(model, details)
        return rows

    return check


def _wrong(value: Any, kind: Any) -> list[tuple[list[Any], str]]:  # noqa: ANN401 - from JSON
    """Return path and wanted type of the parts of *value* that are not of *kind*."""
    if kind in _CHECKS:
        wanted, fits = _CHECKS[kind]
        return [] if fits(value) else [([], wanted)]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Union:
        ends = [_wrong(value, each) for each in arguments if each is not type(None)]
        is_none = value is None and type(None) in arguments
        return [] if is_none or not ends or not all(ends) else ends[0]
    if origin in _LISTS and origin is not tuple:
        if not isinstance(value, list):
            return [([], "a list")]
        parts = enumerate(value) if arguments and not is_any(arguments[0]) else ()
        return [([index, *loc], wanted) for index, part in parts for loc, wanted in _wrong(part, arguments[0])]
    if origin is dict and not isinstance(value, dict):
        return [([], "an object")]
    return []
