"""Errors of images that could not be brought to a site: what happened, where, and the user's next step. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnflow.errors import BlockError, ChannelError, ImageNotFoundError, ImagePullError, ImageUnusableError
from cnflow.images.pull_causes import Cause, cause_of
from cnflow.images.references import registry_of
from cnflow.text import amount_of_memory

if TYPE_CHECKING:
    from cnflow.sites.image_transfer import BringError

_SHOWN = 900
_CACHE = "Remove images there that are not needed, or set image_cache_dir= to a folder on a file system with room."

# Words of strerror(3) in the output of sh, cp, tar, Apptainer and Podman.
_FULL = re.compile(r"no space left|disk quota exceeded|quota exceeded|file too large", re.IGNORECASE)
_FOR_GOOD = frozenset({Cause.ABSENT, Cause.PLATFORM, Cause.DISK_FULL})
"""Causes for which an image cannot come from the driver, either."""

_DAMAGED = re.compile(r"squashfs|superblock|corrupt|unexpected eof|invalid (?:tar|checksum|header)", re.IGNORECASE)
_FOREIGN = re.compile(r"architecture|exec format error", re.IGNORECASE)


def is_for_the_driver(error: BringError, image: str) -> bool:
    """True if the driver may do better: the site cannot reach the registry, or must not, or its program fails."""
    return error.why == "make" and cause_of(error.words, image) not in _FOR_GOOD


def error_of(error: BringError, image: str, site: str, folder: str) -> BlockError:
    """The error for *image*, by its name, that could not be brought to *site*.

    Args:
        error: of the script.
        image: as the user wrote it.
        site: name of its channel.
        folder: of its images.
    """
    words = error.words[-_SHOWN:].strip() or "no further words"
    where = f"Image {image!r} cannot be brought to {site}"
    is_full = _FULL.search(error.words) is not None
    if error.why == "make" and not is_full:
        return _not_made(where, words, error.words, image)
    if error.why in {"cut", "lost"} and not is_full:
        return ChannelError(
            f"{where}: the connection ended in the midst of it: {words}\nThe next block tries it again."
        )
    return ImageUnusableError(f"{where}: {_trouble_there(error, words, folder)}")


def _trouble_there(error: BringError, words: str, folder: str) -> str:
    """What is wrong with the site's folder, or with what came, and what to do."""
    if error.why == "space":
        _, free, size = error.details.rsplit(" ", 2)
        have, need = amount_of_memory(int(free) * 1024), amount_of_memory(2 * int(size))
        return f"{folder} has {have} free, and {need} are needed. {_CACHE}"
    if _FULL.search(error.words):
        full = "the quota of its file system is used up" if "quota" in error.words.lower() else "no space is left"
        return f"{full} ({folder}): {words}\n{_CACHE}"
    if error.why in {"folder", "lock", "write"}:
        return (
            f"the folder {error.details or folder} cannot be written: {words}\nSet image_cache_dir= to a folder in "
            "which you may write there."
        )
    return {
        "no-sif": f"what came is no SIF. Name one that apptainer run starts: {words}",
        "login": "docker there takes no password without showing it. Run docker login there; leave out credentials=.",
        "unpack": f"its root file system cannot be unpacked: {words}\n{_CACHE}",
    }.get(error.why, words)


def _not_made(where: str, words: str, all_words: str, image: str) -> BlockError:
    cause, registry = cause_of(all_words, image), registry_of(image.rpartition("://")[2])
    if cause is Cause.ABSENT:
        return ImageNotFoundError(
            f"{where}: it is not on the driver's machine, and {cause.value.format(registry=registry)}: {words}\nBuild "
            "it, push it, or correct its name."
        )
    if cause is Cause.PLATFORM or _FOREIGN.search(all_words):
        return ImageUnusableError(
            f"{where}: it is for another architecture than the site's machines: {words}\nBuild it for that one."
        )
    if cause is Cause.UNAUTHORISED:
        return ImagePullError(
            f"{where}: {cause.value.format(registry=registry)}: {words}\nGive the Image credentials=, log in there, or "
            "pull it on the driver's machine, from where it is sent."
        )
    if cause is not Cause.OTHER:
        what = cause.value.format(registry=registry).replace("the engine", "the site")
        return ImagePullError(
            f"{where}: {what}: {words}\nPull it on the driver's machine (docker pull), from where it is sent; or wait."
        )
    if _DAMAGED.search(all_words):
        return ImageUnusableError(f"{where}: it is damaged: {words}\nWrite the archive or push the image again.")
    return ImageUnusableError(f"{where}: making it failed there: {words}")


def foreign(image: str, architecture: str, site: str, machine: str) -> ImageUnusableError:
    """The error for an image of another architecture than the machines of a site."""
    return ImageUnusableError(
        f"Image {image!r} is for {architecture}, and the machines of {site} are {machine}. Build or pull it for these: "
        f"docker build --platform linux/{machine}, or docker pull --platform linux/{machine}."
    )


def nowhere(image: str, words: str) -> ImageNotFoundError:
    """The error for an image that neither the driver's machine nor the site can get."""
    return ImageNotFoundError(f"Image {image!r} was not found. {words}\nBuild it, push it, or correct its name.")
