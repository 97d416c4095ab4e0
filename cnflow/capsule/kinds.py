"""Which capsule an interpreter needs; decides from what was probed, reads nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnflow.errors import ImageUnusableError

if TYPE_CHECKING:
    from cnflow.capsule.probe import Probe

# What pyzmq, msgspec and cloudpickle publish wheels for (https://pypi.org/project/pyzmq/27.1.0/#files): other
# architectures have them too, but none of those was ever run here.
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
"""Wheels that run on glibc 2.28 and newer, best first (PEP 600); each is named since old pips do not derive them."""

_ADVICE = (
    f"A worker needs CPython {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} on x86_64 with glibc "
    f"{_OLDEST_GLIBC[0]}.{_OLDEST_GLIBC[1]} or newer, and nothing else: build on an image such as python:3.11-slim."
)


@dataclass(frozen=True)
class Kind:
    """What decides which wheels fit. All images of one kind share a capsule."""

    python: str
    """Minor version, e.g. ``3.11``."""

    machine: str
    libc: str
    """``glibc``; its version is at least the one that `PLATFORM_TAGS` ask for."""

    @property
    def slug(self) -> str:
        """As part of a file name: ``cp311-x86_64-glibc``."""
        return f"cp{self.python.replace('.', '')}-{self.machine}-{self.libc}"

    @property
    def platforms(self) -> tuple[str, ...]:
        """Platform tags of the wheels that fit, best first."""
        return tuple(tag.format(machine=self.machine) for tag in PLATFORM_TAGS)


def kind_of(probe: Probe, where: str) -> Kind:
    """The capsule that the probed interpreter needs.

    Args:
        probe: what the interpreter said.
        where: names it in the error, e.g. ``image 'app1:0.1'``.

    Raises:
        ImageUnusableError: there is no capsule for it; says what was found and what to do.
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
        raise ImageUnusableError(
            f"{where[:1].upper()}{where[1:]} has {probe}; no capsule can be made for that. {_ADVICE}"
        )
    return Kind(f"{minor[0]}.{minor[1]}", probe.machine, "glibc")


def no_python(where: str, said: str) -> ImageUnusableError:
    """The error for an image in which no interpreter was found; *said* are the words of what looked for it."""
    return ImageUnusableError(f"{where[:1].upper()}{where[1:]} has no Python that starts: {said}\n{_ADVICE}")


def _glibc(libc: str) -> tuple[int, ...]:
    """Version of glibc; empty, which is older than all, for another C library."""
    found = re.fullmatch(r"glibc (\d+)\.(\d+)(?:\.\d+)*", libc)
    return (int(found[1]), int(found[2])) if found else ()
