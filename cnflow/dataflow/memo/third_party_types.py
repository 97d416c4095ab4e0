"""Parts of values whose types are known by name only, so that no package is imported for them.

Each value is taken apart into builtin values, which `values` encodes. Types are matched exactly: a subclass may hold
more (a masked array its mask), and the user can register it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def parts_of(obj: object) -> object | None:
    """Return builtin values that *obj* consists of; None if its type is unknown here."""
    kind = type(obj)
    take_apart = _PARTS.get(f"{kind.__module__}.{kind.__qualname__}")
    if take_apart is not None:
        return take_apart(obj)
    if kind.__module__.partition(".")[0] == "numpy":
        bases = {base.__name__ for base in kind.__mro__}
        if "generic" in bases:
            return _parts_of_scalar(obj)
        if "dtype" in bases:
            return _parts_of_dtype(obj)
    return None


def _reduce(obj: Any) -> object:  # noqa: ANN401 - one of the types in `_PARTS`
    return obj.__reduce_ex__(2)


def _reduce_time(time: Any) -> object:  # noqa: ANN401 - a time or a datetime
    """Parts of a time; the second of two equal ones, when clocks are put back, has one more (PEP 495)."""
    return (_reduce(time), "fold") if time.fold else _reduce(time)


def _parts_of_array(array: Any) -> object:  # noqa: ANN401 - numpy is not imported
    if array.dtype.hasobject:
        return _parts_of_dtype(array.dtype), array.shape, array.tolist()
    # ravel() makes C and Fortran order equal; viewed as bytes, since dates have no buffer of their own.
    content = array.ravel()
    return _parts_of_dtype(array.dtype), array.shape, content.view("u1").data if content.size else b""


def _parts_of_scalar(scalar: Any) -> object:  # noqa: ANN401 - the same
    return _parts_of_dtype(scalar.dtype), scalar.item() if scalar.dtype.hasobject else scalar.tobytes()


def _parts_of_dtype(dtype: Any) -> object:  # noqa: ANN401 - the same
    if dtype.names:
        return dtype.descr
    if dtype.kind == "V" and not dtype.name.startswith("void"):
        return dtype.str, dtype.shape, dtype.name  # bfloat16 and others of ml_dtypes, all of which are "<V2" or "<V1"
    return dtype.str, dtype.shape


_PARTS: Mapping[str, Callable[[Any], object]] = {
    "array.array": lambda array: (array.typecode, array.tobytes()),
    "datetime.datetime": _reduce_time,
    "datetime.time": _reduce_time,
    "numpy.memmap": _parts_of_array,
    "numpy.ndarray": _parts_of_array,
    "numpy.ufunc": lambda function: function.__name__,
    **dict.fromkeys(
        (
            "datetime.date",
            "datetime.timedelta",
            "datetime.timezone",
            "decimal.Decimal",
            "fractions.Fraction",
            "operator.attrgetter",
            "operator.itemgetter",
            "operator.methodcaller",
            "uuid.UUID",
            "zoneinfo.ZoneInfo",
        ),
        _reduce,
    ),
    "re.Pattern": lambda pattern: (pattern.pattern, pattern.flags),
}
