"""Durations and sizes as a user writes them, checked when the settings are made."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from cnflow.units import GIB, bytes_in

_COLONS = re.compile(r"(?:(?P<hours>\d+):(?=[0-5]?\d:))?(?P<minutes>\d+):(?P<seconds>[0-5]\d)", re.ASCII)


def _seconds(value: object) -> object:
    """Seconds of a text such as ``"00:02:00"`` or of a `timedelta`; other values as they are."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, str):
        return value
    if written := _COLONS.fullmatch(value.strip()):
        hours, minutes, seconds = (int(part or 0) for part in written.groups())
        return float(3600 * hours + 60 * minutes + seconds)
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"must be seconds or 'HH:MM:SS', such as 90 or '00:01:30', not {value!r}") from None


def _size(value: Any) -> Any:  # noqa: ANN401 - checked here
    if value is not None:
        bytes_in(value)
    return value


def _bytes(value: object) -> object:
    return bytes_in(value) if isinstance(value, str) else value


def _gibibytes(value: object) -> object:
    """GiB of a text with a unit, such as ``"4GB"``; a number, also as text, is GiB already."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return bytes_in(value) / GIB
    except ValueError:
        raise ValueError(f"must be a number of GiB or a text such as '4GB' or '512MiB', not {value!r}") from None


Duration = Annotated[float, BeforeValidator(_seconds)]
"""Type of an option in seconds, which may be written ``"HH:MM:SS"`` or ``"MM:SS"``, or be a `timedelta`."""

MemorySize = Annotated[str | int, AfterValidator(_size)]
"""Type of an amount of memory, kept as it was written: bytes, or a number with a unit; see `cnflow.units.bytes_in`."""

Bytes = Annotated[int, BeforeValidator(_bytes)]
"""Type of an option in bytes, which may be written with a unit."""

Gibibytes = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_gibibytes)]
"""Type of an option in GiB, which may be written with a unit."""
