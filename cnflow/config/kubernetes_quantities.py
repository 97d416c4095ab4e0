"""Amounts of CPU and memory as Kubernetes and as cnflow write them, checked when the settings are made. No I/O.

::

    "500m", 0.5 ──Cpus──────────> "500m", 0.5         `cpus_of`: 0.5       `cpu_quantity`: "500m"
    "4Gi", "4GB", 2**32 ──Memory> as written          `bytes_in`: 2**32    `memory_quantity`: "4Gi"
    "4G" ──Memory──> refused: 10**9 in Kubernetes, and 2**30 everywhere else in cnflow

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from cnflow.units import bytes_in

_MILLI = re.compile(r"(\d+)m")
_AMBIGUOUS = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGTPE])")
_BINARY = (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10))


def cpus_of(given: object) -> float:
    """Return the CPUs in *given*: a number, also as text, or thousandths such as ``"500m"``.

    Raises:
        ValueError: *given* is neither, or not above 0.
    """
    cpus = 0.0
    if isinstance(given, str):
        if milli := _MILLI.fullmatch(given.strip()):
            cpus = int(milli[1]) / 1000
        elif re.fullmatch(r"\d+(\.\d+)?", given.strip()):
            cpus = float(given)
    elif isinstance(given, (int, float)) and not isinstance(given, bool) and math.isfinite(given):
        cpus = float(given)
    if cpus <= 0:
        raise ValueError(f"must be a number of CPUs above 0, such as 0.5, 2 or '500m', not {given!r}")
    return cpus


def cpu_quantity(given: object) -> str:
    """Return CPUs as Kubernetes writes them; a part of a thousandth counts as one."""
    milli = math.ceil(round(cpus_of(given) * 1000, 6))
    return f"{milli // 1000}" if milli % 1000 == 0 else f"{milli}m"


def memory_quantity(given: object) -> str:
    """Return an amount of memory as Kubernetes writes it, by the largest unit of 1024 that divides it."""
    size = bytes_in(given)
    return next((f"{size // unit}{name}" for name, unit in _BINARY if size % unit == 0), str(size))


def _check_cpus(value: Any) -> Any:  # noqa: ANN401 - checked here
    if value is not None:
        cpus_of(value)
    return value


def _check_memory(value: Any) -> Any:  # noqa: ANN401 - checked here
    if isinstance(value, str) and (letter := _AMBIGUOUS.fullmatch(value.strip())):
        amount, unit = letter.groups()
        decimal = "kB" if unit == "k" else f"{unit}B"
        raise ValueError(
            f"{value!r} counts by 1000 in Kubernetes and by 1024 elsewhere; write '{amount}{unit.upper()}i' for powers "
            f"of 1024, or '{amount}{decimal}' for powers of 1000"
        )
    if value is not None:
        bytes_in(value)
    return value


Cpus = Annotated[float | str, BeforeValidator(_check_cpus)]
"""Type of an amount of CPU, kept as it was written: a number, or thousandths such as ``"500m"``."""

Memory = Annotated[int | str, BeforeValidator(_check_memory)]
"""Type of an amount of memory, kept as it was written: bytes, or a number with a unit: ``"4Gi"``, ``"4GB"``."""

Amount = int | str
"""Type of an amount of any resource, which is passed on as it is."""
