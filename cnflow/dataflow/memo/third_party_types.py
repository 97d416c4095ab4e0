"""Values of types that are known by name only, so that nothing is imported on their account.

Each is taken apart into builtin values; `values` goes on from there. An exact type is asked for: a subclass may hold
more (a masked array its mask), and whoever made it can register it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def parts_of(obj: object) -> object | None:
    """What *obj* consists of, or None if its type is not known here."""
    kind = type(obj)
    take_apart = _BY_NAME.get(f"{kind.__module__}.{kind.__qualname__}")
    if take_apart is not None:
        return take_apart(obj)
    if kind.__module__.partition(".")[0] == "numpy":
        bases = {base.__name__ for base in kind.__mro__}
        if "generic" in bases:
            return _number(obj)
        if "dtype" in bases:
            return _dtype(obj)
    return None


def _reduced(obj: Any) -> object:  # noqa: ANN401 - one of `_BY_NAME`
    return obj.__reduce_ex__(2)


def _array(array: Any) -> object:  # noqa: ANN401 - numpy is not imported
    if array.dtype.hasobject:
        return _dtype(array.dtype), array.shape, array.tolist()
    # ravel() puts C and Fortran order alike; bytes, since dates have no buffer of their own.
    content = array.ravel()
    return _dtype(array.dtype), array.shape, content.view("u1").data if content.size else b""


def _number(scalar: Any) -> object:  # noqa: ANN401 - the same
    return _dtype(scalar.dtype), scalar.item() if scalar.dtype.hasobject else scalar.tobytes()


def _dtype(dtype: Any) -> object:  # noqa: ANN401 - the same
    return dtype.descr if dtype.names else (dtype.str, dtype.shape)


_BY_NAME: Mapping[str, Callable[[Any], object]] = {
    "array.array": lambda array: (array.typecode, array.tobytes()),
    "numpy.memmap": _array,
    "numpy.ndarray": _array,
    "numpy.ufunc": lambda function: function.__name__,
    **dict.fromkeys(
        (
            "datetime.date",
            "datetime.datetime",
            "datetime.time",
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
        _reduced,
    ),
    "re.Pattern": lambda pattern: (pattern.pattern, pattern.flags),
}
