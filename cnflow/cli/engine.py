"""Writes capsules: for an image, through the provider of containers, or for a Python."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from cnflow.capsule import Probe, capsule_folder, kind_of
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


def build_capsule(python: str, directory: Path) -> None:
    """Write the capsule for that minor version of CPython, on Linux with glibc, into *directory*.

    Raises:
        ImageUnusableError: no capsule fits such a Python.
        CapsuleError: its packages could not be downloaded.
        OSError: *directory* cannot be written.
    """
    minor = python if re.fullmatch(r"\d+\.\d+", python) else "0.0"
    probe = Probe(minor, "CPython", os.uname().machine, "glibc 2.28", "python3")
    kind = kind_of(probe, f"Python {python!r}")
    shutil.copytree(capsule_folder(kind), directory, dirs_exist_ok=True)
