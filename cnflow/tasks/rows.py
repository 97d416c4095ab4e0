"""Reads rows from the form of a call as a model's annotations have them, and writes its results in the same form.

::

    VALUES   a list as it is ────────────────────────────────────────> predict(rows) ──> as they are
    ROW      one value ──> a list of one ────────────────────────────>      │        ──> the first result
    JSON     bytes ──json──> list ──check (pydantic, if it is there)──>     │        ──> bytes
    TENSORS  tensors ──> list of lists, or of dicts by their names ──check──^        ──> tensors

A function that is annotated with ``numpy.ndarray`` gets JSON and tensors as one array. Values of the graph are never
checked nor converted: they are Python values of the caller's own.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
import re
from typing import TYPE_CHECKING, Any, Callable, Optional

from cnflow.errors.apps import InvalidRowsError, PredictModuleError
from cnflow.tasks import image_packages, row_types
from cnflow.tasks.json_values import to_plain
from cnflow.tasks.models import RowForm

if TYPE_CHECKING:
    from collections.abc import Mapping

VALUES, JSON, TENSORS, ROW = (int(form) for form in RowForm)


class RowReader:
    """Reads the rows of one function.

    Args:
        model: name for messages.
        function: the user's; its first parameter takes the rows.
        takes_one: that parameter takes one row, as of ``stream``.
    """

    def __init__(self, model: str, function: Any, *, takes_one: bool = False) -> None:  # noqa: ANN401 - the user's
        self._model = model
        self._function = function
        self._takes_one = takes_one

    @functools.cached_property
    def types(self) -> row_types.Types:
        """Types by the annotations; read on first use, since values of the graph do without."""
        return row_types.read(self._function, takes_one=self._takes_one)

    @functools.cached_property
    def _check(self) -> Optional[Callable[[Any], Any]]:
        return row_types.checker(self._model, self.types)

    @functools.cached_property
    def _convert_options(self) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        return row_types.option_checker(self._model, self.types)

    @functools.cached_property
    def _keywords(self) -> Optional[tuple[str, ...]]:
        return _keywords_of(self._function)

    def read(self, form: int, rows: Any) -> Any:  # noqa: ANN401 - in the form of the call
        """Return the rows for the user's function.

        Raises:
            InvalidRowsError: they are not as the annotations have them, or no JSON.
        """
        if form == VALUES:
            if not hasattr(rows, "__len__"):
                raise PredictModuleError(
                    f"{self._model} takes a list of rows, not a value of type {type(rows).__name__}."
                )
            return rows
        if form == ROW:
            return [rows]
        if form == JSON:
            values = self._from_json(rows)
        elif form == TENSORS:
            values = self._from_tensors(rows)
        else:
            raise ValueError(f"{form} is no RowForm.")
        if self.types.is_array:
            return self._array(values)
        return values if self._check is None else self._check(values)

    def write(self, form: int, results: Any) -> Any:  # noqa: ANN401 - the user's values
        """Return *results*, one for each row, in the form of the call.

        Raises:
            PredictModuleError: that form cannot hold one of them; the message names it.
        """
        if form == VALUES:
            return results
        if form == ROW:
            return results[0]
        if form == JSON:
            return self._to_json([to_plain(result) for result in results])
        from cnflow.tasks.tensors import from_results

        return from_results(self._model, results)

    def write_piece(self, form: int, piece: Any) -> Any:  # noqa: ANN401 - the user's value
        """Return one piece of a stream in the form of the call."""
        return self._to_json(to_plain(piece)) if form == JSON else piece

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Check that the function takes each of *options*.

        Raises:
            InvalidRowsError: names those that it does not.
        """
        if self._keywords is None:
            return
        known = ", ".join(self._keywords) or "none"
        wrong = [name for name in options if name not in self._keywords]
        if wrong:
            message = f"it has no such option; known: {known}"
            details = [{"loc": ["options", name], "msg": message, "type": "unknown_option"} for name in wrong]
            raise InvalidRowsError(self._model, details)

    def read_options(self, form: int, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return *options* as the function is annotated; those of the graph as they are.

        Raises:
            InvalidRowsError: names those that the function does not take, or not so.
        """
        self.check_options(options)
        return options if form in {VALUES, ROW} else self._convert_options(options)

    def _from_json(self, body: Any) -> Any:  # noqa: ANN401 - bytes
        try:
            values = _DECODER.decode(bytes(body).decode())
        except (ValueError, RecursionError) as error:
            raise self._invalid([], f"they are no JSON: {error}", "json_invalid") from None
        if not isinstance(values, list):
            raise self._invalid([], f"they are {_json_type(values)}, not an array of rows", "list_type")
        if _MAY_OVERFLOW.search(body) and (loc := _place_of_infinity(values)):
            raise self._invalid(loc, "it is too large for a number", "finite_number")
        return values

    def _from_tensors(self, tensors: Any) -> Any:  # noqa: ANN401 - a sequence of Tensors
        from cnflow.tasks.tensors import to_rows

        try:
            return to_rows(tensors, as_array=self.types.is_array)
        except ValueError as error:
            raise self._invalid([], str(error), "tensor_invalid") from None

    def _array(self, values: Any) -> Any:  # noqa: ANN401 - a list or an array
        try:
            array = image_packages.numpy().asarray(values)
        except ValueError as error:  # rows of several lengths
            raise self._invalid([], f"they make no array: {error}", "array_invalid") from None
        if array.dtype.kind in "OUS" and not self.types.takes_objects:
            wrong = next((index for index, row in enumerate(values) if not _is_numeric(row)), 0)
            raise self._invalid([wrong], "its values are no numbers", "number_type")
        return array

    def _to_json(self, plain: Any) -> bytes:  # noqa: ANN401 - what json takes
        try:
            return _ENCODER.encode(plain).encode()
        except (TypeError, ValueError, RecursionError, UnicodeEncodeError) as error:
            where, value = find_unwritable(plain)
            shown = f"nan or inf ({value!r})" if isinstance(value, float) else f"a value of type {type(value).__name__}"
            what = f"{where} is {shown}" if where else str(error)
            raise PredictModuleError(
                f"{self._model} returned what JSON cannot hold: {what}. Return numbers, texts, lists, dicts and None."
            ) from None

    def _invalid(self, loc: list[Any], message: str, kind: str) -> InvalidRowsError:
        return InvalidRowsError(self._model, [{"loc": loc, "msg": message, "type": kind}])


def find_unwritable(value: Any, where: str = "result") -> tuple[str, Any]:  # noqa: ANN401 - any
    """Return the path of the first part of *value* that JSON cannot hold, and that part; an empty path for none."""
    if value is None or isinstance(value, (str, int, bool)):
        return "", None
    if isinstance(value, float):
        return ("", None) if math.isfinite(value) else (where, value)
    parts: list[tuple[str, Any]] = []
    if isinstance(value, (list, tuple)):
        parts = [(f"{where}[{index}]", part) for index, part in enumerate(value)]
    elif isinstance(value, dict):
        parts = [(f"{where}[{key!r}]", part) for key, part in value.items()]
    else:
        return where, value
    for path, part in parts:
        found = find_unwritable(part, path)
        if found[0]:
            return found
    return "", None


_MAY_OVERFLOW = re.compile(rb"[0-9.][eE][+]?[0-9]{3}|[0-9]{309}")
"""Numbers that may be above 1.8e308, which are infinite once they are read."""


def _place_of_infinity(value: Any) -> list[Any]:  # noqa: ANN401 - from JSON
    """Return the path to the first infinite number in *value*; empty if there is none."""
    parts: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        if isinstance(part, float) and math.isinf(part):
            return [key]
        if isinstance(part, (list, dict)) and (inner := _place_of_infinity(part)):
            return [key, *inner]
    return []


def _refuse_constant(name: str) -> Any:  # noqa: ANN401 - it returns nothing
    raise ValueError(f"{name} is no JSON number; send null where a value is missing")


# Made once: `json.loads` and `json.dumps` with options make one of these for each call.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), ensure_ascii=False)


def _is_numeric(row: Any) -> bool:  # noqa: ANN401 - from JSON
    if isinstance(row, list):
        return all(_is_numeric(part) for part in row)
    return isinstance(row, (int, float))


def _json_type(value: Any) -> str:  # noqa: ANN401 - from JSON
    names = {dict: "an object", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _keywords_of(function: Any) -> Optional[tuple[str, ...]]:  # noqa: ANN401 - the user's
    """Return the names of the parameters besides the rows; None where any name is taken, or none is known."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    kinds = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    return tuple(parameter.name for parameter in parameters[1:] if parameter.kind in kinds)
