"""Writes capsules: for an image, through the provider of containers, or for a Python."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from cnflow.capsule import Probe, capsule_folder, carried_kind, carrying_kind, kind_of
from cnflow.config.providers import DockerProvider
from cnflow.config.registry import backend_of
from cnflow.model.image import Image

if TYPE_CHECKING:
    from pathlib import Path


def unpack_capsule(image: str, directory: Path) -> None:
    """Write the capsule for *image* into *directory*.

    Raises:
        MissingExtraError: the Docker SDK is not installed.
        BlockError: the image was not found, or cannot hold a worker.
        CapsuleError: its packages could not be downloaded.
    """
    settings = DockerProvider()
    provider = backend_of(settings)(settings)
    try:
        provider.unpack_capsule(Image(image), directory)
    finally:
        provider.close()


CARRIED = "carried"
"""Stands for the driver's own Python, which the capsule carries, in place of a minor version."""


def build_capsule(python: str, machine: str, libc: str, directory: Path) -> None:
    """Write the capsule for that minor version of CPython on Linux, or the one that carries a Python, into *directory*.

    Args:
        python: minor version, or `CARRIED`.
        machine: architecture; empty for that of this machine.
        libc: C library, ``glibc`` or ``musl``.
        directory: is made if it does not exist.

    Raises:
        ImageUnusableError: no capsule fits such a Python.
        CapsuleError: its packages could not be downloaded, or the Python of this process cannot be carried.
        OSError: *directory* cannot be written.
    """
    machine = machine or os.uname().machine
    if python == CARRIED:
        kind = carried_kind(machine, "an image", carrying_kind())
    else:
        minor = python if re.fullmatch(r"\d+\.\d+", python) else "0.0"
        version = {"glibc": "2.28", "musl": "1.2"}.get(libc, "")
        kind = kind_of(Probe(minor, "CPython", machine, f"{libc} {version}", "python3"), f"Python {python!r}")
    shutil.copytree(capsule_folder(kind), directory, dirs_exist_ok=True)
