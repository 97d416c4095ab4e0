"""Makes plain values, which `json` can write, of what models return. Standard library only."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

_AS_THEY_ARE = frozenset({str, int, float, bool, type(None)})


def to_plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 - the user's values; a case for each type
    """Return *value* of builtins alone, as far as that is known: of arrays, tensors, dataclasses, pydantic's models."""
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if isinstance(value, dict):
        return {_key(name): to_plain(part) for name, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: to_plain(part) for name, part in value._asdict().items()}
    if isinstance(value, (list, tuple)):
        return [part if type(part) in _AS_THEY_ARE else to_plain(part) for part in value]
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    dump = getattr(value, "model_dump", None)  # pydantic's
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return _other(value)


def _other(value: Any) -> Any:  # noqa: ANN401 - the user's values
    to_list = getattr(value, "tolist", None)  # arrays and scalars of NumPy, tensors of PyTorch
    if callable(to_list):
        return to_plain(to_list())
    for convert in ("isoformat", "to_dict"):  # dates; data frames
        method = getattr(value, convert, None)
        if callable(method):
            return method() if convert == "isoformat" else to_plain(method())
    if isinstance(value, (set, frozenset)):
        return [to_plain(part) for part in value]
    return value  # json refuses it, and the error names it


def _key(name: Any) -> Any:  # noqa: ANN401 - the user's values
    if type(name) in _AS_THEY_ARE:
        return name
    return to_plain(name)
