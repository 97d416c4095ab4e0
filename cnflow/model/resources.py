"""What a task needs of the node that runs it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, Union

from cnflow.errors import ConfigurationError
from cnflow.text import did_you_mean

_UNITS = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}{end}": 1024**power for power, letter in enumerate("kmgt", 1) for end in ("", "ib")},
}
"""As in common use: ``MB`` is a million bytes, ``MiB`` is 2**20 of them, and so is the ``M`` of batch systems."""

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


class Resources(NamedTuple):
    """What a task needs of one node; what is None is what each of its workers counts for."""

    cores: Optional[float] = None
    """CPU cores; a part of one is a number below 1."""

    memory: Optional[int] = None
    """Bytes."""

    gpus: Optional[int] = None
    """Accelerators, of those that the executor's ``available_accelerators`` names."""

    priority: Optional[float] = None
    """Lower goes first; tasks without one come after all that have one."""

    @classmethod
    def of(cls, given: Any) -> Resources:  # noqa: ANN401 - checked here
        """What the user wrote: a `Resources`, or a dict with some of its fields; memory as bytes or as ``"4GB"``.

        Raises:
            ConfigurationError: a name or a value is wrong; says which.
        """
        if isinstance(given, cls):
            given = given._asdict()
        if not isinstance(given, Mapping):
            raise ConfigurationError(f'resources must be a dict such as {{"cores": 2}}, not {given!r}.')
        for name in given:
            if name not in cls._fields:
                known = ", ".join(cls._fields)
                near = did_you_mean(str(name), cls._fields)
                raise ConfigurationError(f"resources know no {name!r}.{near} Known: {known}.")
        said = {name: value for name, value in given.items() if value is not None}
        if "cores" in said and not (_is_number(said["cores"]) and said["cores"] > 0):
            raise _wrong("cores", "a number above 0", said["cores"])
        if "memory" in said:
            said["memory"] = memory_in_bytes(said["memory"])
        gpus = said.get("gpus", 0)
        if not (_is_number(gpus) and gpus >= 0 and gpus == int(gpus)):
            raise _wrong("gpus", "a whole number from 0 on", gpus)
        if "priority" in said and not _is_number(said["priority"]):
            raise _wrong("priority", "a number", said["priority"])
        return cls(**said)


def memory_in_bytes(given: Union[str, float]) -> int:
    """*given* bytes, or a text such as ``"4GB"`` or ``"512MiB"``.

    Raises:
        ConfigurationError: it is neither.
    """
    size = 0.0
    if isinstance(given, str):
        found = _AMOUNT.fullmatch(given.strip())
        size = float(found[1]) * _UNITS.get(found[2].lower(), 0) if found else 0.0
    elif _is_number(given):
        size = float(given)
    if size <= 0:
        raise _wrong("memory", "a number of bytes above 0 or a text such as '4GB' or '512MiB'", given)
    return math.ceil(size)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(name: str, wanted: str, value: object) -> ConfigurationError:
    return ConfigurationError(f"resources: {name} must be {wanted}, not {value!r}.")
