"""Decides which capsule an interpreter needs, from its probe. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnflow.errors import ImageUnusableError

if TYPE_CHECKING:
    from cnflow.capsule.probe import Probe

# Pythons for which pyzmq, msgspec and cloudpickle publish wheels (https://pypi.org/project/pyzmq/27.1.0/#files). There
# are wheels for other architectures, too, but none of those was tested.
OLDEST, NEWEST = (3, 9), (3, 13)
_MACHINES = frozenset({"x86_64"})
_OLDEST_GLIBC = (2, 28)

PLATFORM_TAGS = (
    "manylinux_2_28_{machine}",
    "manylinux_2_27_{machine}",
    "manylinux_2_26_{machine}",
    "manylinux_2_24_{machine}",
    "manylinux_2_17_{machine}",
    "manylinux2014_{machine}",
)
"""Tags of wheels that run on glibc 2.28 and newer, best first (PEP 600); all are listed, since old pips derive none."""

_ADVICE = (
    f"A worker needs CPython {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} on x86_64 with glibc "
    f"{_OLDEST_GLIBC[0]}.{_OLDEST_GLIBC[1]} or newer, and nothing else: build on an image such as python:3.11-slim."
)


@dataclass(frozen=True)
class Kind:
    """Kind of an interpreter, which decides the wheels that fit. All images of one kind share a capsule."""

    python: str
    """Minor version, e.g. ``3.11``."""

    machine: str
    libc: str
    """``glibc``, at least of the version that `PLATFORM_TAGS` require."""

    @property
    def slug(self) -> str:
        """Text for file names: ``cp311-x86_64-glibc``."""
        return f"cp{self.python.replace('.', '')}-{self.machine}-{self.libc}"

    @property
    def platforms(self) -> tuple[str, ...]:
        """Platform tags of the wheels that fit, best first."""
        return tuple(tag.format(machine=self.machine) for tag in PLATFORM_TAGS)


def kind_of(probe: Probe, where: str) -> Kind:
    """Return the kind of the probed interpreter.

    Args:
        probe: of the interpreter.
        where: name of the image or interpreter for the error, e.g. ``image 'app1:0.1'``.

    Raises:
        ImageUnusableError: no capsule fits it; the message names what was found and what is supported.
    """
    minor = tuple(int(part) for part in probe.version.split(".")[:2])
    fits = (
        OLDEST <= minor <= NEWEST
        and probe.implementation == "CPython"
        and "t" not in probe.abiflags
        and (probe.machine in _MACHINES and probe.bits == 64)  # noqa: PLR2004 - bits of a pointer
        and _glibc(probe.libc) >= _OLDEST_GLIBC
    )
    if not fits:
        raise ImageUnusableError(f"{where[:1].upper()}{where[1:]} has {probe}, which is not supported. {_ADVICE}")
    return Kind(f"{minor[0]}.{minor[1]}", probe.machine, "glibc")


def no_python(where: str, output: str) -> ImageUnusableError:
    """Return the error for an image without an interpreter; *output* is that of the command that started it."""
    return ImageUnusableError(f"{where[:1].upper()}{where[1:]} has no Python that starts: {output}\n{_ADVICE}")


def _glibc(libc: str) -> tuple[int, ...]:
    """Version of glibc; an empty tuple, which is lower than all, for another C library."""
    found = re.fullmatch(r"glibc (\d+)\.(\d+)(?:\.\d+)*", libc)
    return (int(found[1]), int(found[2])) if found else ()
