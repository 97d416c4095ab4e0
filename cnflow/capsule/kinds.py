"""Decides which capsule an image or interpreter needs, from its probe. No I/O.

::

    Probe ── CPython 3.9 to 3.14, x86_64 or aarch64, glibc 2.28+ or musl 1.2+ ──> cp311-x86_64-glibc:
      │                     packages for the image's own Python, which runs manager and workers
      └── Python 3.8, PyPy, free-threaded, older C library, older Python, none ──> cp312-x86_64-glibc-carried:
                            the driver's own Python runs the manager, and workers where the image's is not 3.8 or newer
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnflow.errors import ImageUnusableError

if TYPE_CHECKING:
    from cnflow.capsule.probe import Probe

# Pythons for which pyzmq, msgspec and cloudpickle publish wheels, of glibc and musl (https://pypi.org/project/pyzmq/,
# https://pypi.org/project/msgspec/; tests/data/wheels.json lists them).
OLDEST, NEWEST = (3, 9), (3, 14)
OLDEST_WORKER = (3, 8)
"""Python that runs workers, which need the standard library and cloudpickle alone."""

MACHINES = ("x86_64", "aarch64")
_OLDEST_LIBC = {"glibc": (2, 28), "musl": (1, 2)}

PLATFORM_TAGS = {
    "glibc": (
        "manylinux_2_28_{machine}",
        "manylinux_2_27_{machine}",
        "manylinux_2_26_{machine}",
        "manylinux_2_24_{machine}",
        "manylinux_2_17_{machine}",
        "manylinux2014_{machine}",
    ),
    "musl": ("musllinux_1_2_{machine}", "musllinux_1_1_{machine}"),
}
"""Tags of wheels that run on glibc 2.28 and newer, and on musl 1.2 and newer, best first (PEP 600, PEP 656).

All are listed, since old pips derive none.
"""

_ADVICE = (
    f"A worker needs Python {OLDEST_WORKER[0]}.{OLDEST_WORKER[1]} or newer on the driver's architecture, or CPython "
    f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} on {' or '.join(MACHINES)} with glibc 2.28 or musl 1.2"
)


@dataclass(frozen=True)
class Kind:
    """Kind of an interpreter, which decides the wheels that fit. All images of one kind share a capsule."""

    python: str
    """Minor version, e.g. ``3.11``."""

    machine: str
    libc: str
    """``glibc`` or ``musl``, at least of the version that `PLATFORM_TAGS` require."""

    carries_python: bool = False
    """The capsule holds the driver's own interpreter, which is of this kind, and runs in images of any other."""

    @property
    def slug(self) -> str:
        """Text for file names: ``cp311-x86_64-glibc``."""
        carried = "-carried" if self.carries_python else ""
        return f"cp{self.python.replace('.', '')}-{self.machine}-{self.libc}{carried}"

    @property
    def platforms(self) -> tuple[str, ...]:
        """Platform tags of the wheels that fit, best first."""
        return tuple(tag.format(machine=self.machine) for tag in PLATFORM_TAGS[self.libc])


def kind_of(probe: Probe, where: str, driver: Kind | None = None) -> Kind:
    """Return the kind of capsule for the probed interpreter.

    Args:
        probe: of the interpreter.
        where: name of the image or interpreter for the error, e.g. ``image 'app1:0.1'``.
        driver: kind of the driver's interpreter, which a capsule can carry; None if none can.

    Raises:
        ImageUnusableError: no capsule fits it; the message names what was found and what is supported.
    """
    fitting = fitting_kind(probe)
    # pyzmq's wheel for musl crashed a CPython 3.11 built on Debian's musl 1.2.3: carried where that can be.
    if fitting is not None and fitting.libc != "musl":
        return fitting
    if driver is not None and driver.machine == probe.machine:
        return replace(driver, carries_python=True)
    if fitting is not None:
        return fitting
    raise ImageUnusableError(
        f"{where[:1].upper()}{where[1:]} has {probe}, which is not supported. {_cannot_carry(probe.machine, driver)}"
    )


def fitting_kind(probe: Probe) -> Kind | None:
    """Return the kind of an interpreter that runs manager and workers itself; None for one without wheels."""
    libc, version = _libc(probe.libc)
    fits = (
        not probe.is_carried
        and OLDEST <= probe.minor <= NEWEST
        and probe.implementation == "CPython"
        and "t" not in probe.abiflags
        and (probe.machine in MACHINES and probe.bits == 64)  # noqa: PLR2004 - bits of a pointer
        and version >= _OLDEST_LIBC.get(libc, (99,))
    )
    return Kind(f"{probe.minor[0]}.{probe.minor[1]}", probe.machine, libc) if fits else None


def runs_workers(probe: Probe) -> bool:
    """True if the image's own interpreter can run workers, whatever runs the manager."""
    return probe.minor >= OLDEST_WORKER and not probe.is_carried


def carried_kind(machine: str, where: str, driver: Kind | None) -> Kind:
    """Return the kind of capsule for an image without Python.

    Args:
        machine: architecture of the image, as the kernel names it.
        where: name of the image for the error.
        driver: kind of the driver's interpreter; None if it cannot be carried.

    Raises:
        ImageUnusableError: the driver's interpreter does not run there.
    """
    if driver is not None and driver.machine == machine:
        return replace(driver, carries_python=True)
    raise ImageUnusableError(f"{where[:1].upper()}{where[1:]} has no Python. {_cannot_carry(machine, driver)}")


def too_old(where: str, probe: Probe) -> ImageUnusableError:
    """Return the error for an interpreter that was chosen to run workers, and cannot."""
    return ImageUnusableError(f"{where[:1].upper()}{where[1:]} is {probe}, which is too old. {_ADVICE}.")


def no_python(where: str, output: str) -> ImageUnusableError:
    """Return the error for an image without an interpreter; *output* is that of the command that started it."""
    return ImageUnusableError(f"{where[:1].upper()}{where[1:]} has no Python that starts: {output}\n{_ADVICE}.")


def _cannot_carry(machine: str, driver: Kind | None) -> str:
    why = (
        "The Python that runs the script cannot be carried there: it is no CPython 3.10 to 3.14 on glibc or musl."
        if driver is None
        else f"The Python that runs the script cannot be carried there: it is for {driver.machine}, not for {machine}."
    )
    return f"{_ADVICE}: build on an image such as python:3.11-slim. {why}"


def _libc(libc: str) -> tuple[str, tuple[int, ...]]:
    """Name and version of a C library; an empty version, which is lower than all, if it is not known."""
    found = re.fullmatch(r"(glibc|musl) (\d+)\.(\d+)(?:\.\d+)*", libc)
    return (found[1], (int(found[2]), int(found[3]))) if found else (libc, ())
