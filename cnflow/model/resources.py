"""Resources that a task needs on its node. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, Union

from cnflow.errors import ConfigurationError
from cnflow.text import did_you_mean
from cnflow.units import bytes_in


class Resources(NamedTuple):
    """Resources that a task needs on one node; None is the share of one of the node's workers."""

    cores: Optional[float] = None
    """CPU cores; below 1 for a part of a core."""

    memory: Optional[int] = None
    """Bytes."""

    gpus: Optional[int] = None
    """Number of the accelerators in the executor's ``available_accelerators``."""

    priority: Optional[float] = None
    """Lower runs first; tasks without a priority run after all that have one."""

    @classmethod
    def of(cls, value: Any) -> Resources:  # noqa: ANN401 - checked here
        """Parse the user's option: a `Resources`, or a dict with some of its fields; memory in bytes or as ``"4GB"``.

        Raises:
            ConfigurationError: a name or a value is wrong; the message names it.
        """
        if isinstance(value, cls):
            value = value._asdict()
        if not isinstance(value, Mapping):
            raise ConfigurationError(f'resources must be a dict such as {{"cores": 2}}, not {value!r}.')
        for name in value:
            if name not in cls._fields:
                known = ", ".join(cls._fields)
                near = did_you_mean(str(name), cls._fields)
                raise ConfigurationError(f"resources has no option {name!r}.{near} Known: {known}.")
        fields = {name: option for name, option in value.items() if option is not None}
        if "cores" in fields and not (_is_number(fields["cores"]) and fields["cores"] > 0):
            raise _wrong("cores", "a number above 0", fields["cores"])
        if "memory" in fields:
            fields["memory"] = memory_in_bytes(fields["memory"])
        gpus = fields.get("gpus", 0)
        if not (_is_number(gpus) and gpus >= 0 and gpus == int(gpus)):
            raise _wrong("gpus", "a whole number from 0 on", gpus)
        if "priority" in fields and not _is_number(fields["priority"]):
            raise _wrong("priority", "a number", fields["priority"])
        return cls(**fields)


def memory_in_bytes(given: Union[str, float]) -> int:
    """Return the bytes in a `resources` option; see `cnflow.units.bytes_in`.

    Raises:
        ConfigurationError: *given* is no size.
    """
    try:
        return bytes_in(given)
    except ValueError as error:
        raise ConfigurationError(f"resources: memory {error}.") from error


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _wrong(name: str, expected: str, value: object) -> ConfigurationError:
    return ConfigurationError(f"resources: {name} must be {expected}, not {value!r}.")
