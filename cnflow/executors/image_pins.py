"""Makes a reference one image for a whole run, compares it with the lock file, and records what ran.

::

    executor's image ──resolve──> earlier in this run? ──yes──> by that id, else by that digest ──┐
                                    │ no                                                          │
                                    ├── Config(locked=True): by what the lock file has ───────────┤
                                    └── as it is written: the tag ────────────────────────────────┴──> provider.prepare
                                                                                                          │
    images.lock in the run's folder <── recorded <── told if the tag has moved from the lock file <───────┘

An executor asks in its own thread, and waits while another one asks for the same reference.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import threading
import time
from typing import TYPE_CHECKING

from cnflow.config.image_lock import ImageLock, LockedImage, write_lock
from cnflow.errors import ConfigurationError, ImageLockError, ImageNotFoundError
from cnflow.model.image_identity import ImageIdentity, is_by_digest
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cnflow.model.image import Image

    Prepare = Callable[[Image], str]

logger = logging.getLogger(__name__)

RECORD = "images.lock"
"""Name of the record in the folder of a run."""

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Names of machines in the platforms of images: https://go.dev/doc/install/source#environment (GOARCH)."""


class ImagePins:
    """The images of one run. Safe from any thread.

    Args:
        record: file to write what ran to, in the format of a lock file; None writes none.
        lock: content of the lock file; None where there is none.
        lock_file: its name, for messages.
        is_locked: run what *lock* has, and nothing else.
    """

    def __init__(
        self, record: Path | None = None, lock: ImageLock | None = None, lock_file: str = "", *, is_locked: bool = False
    ) -> None:
        self._record = record
        self._lock = ImageLock() if lock is None else lock
        self._lock_file = lock_file
        self._is_locked = is_locked
        self._mutex = threading.Lock()
        self._of_reference: dict[tuple[str, str], threading.Lock] = {}
        self._found: dict[tuple[str, str], ImageIdentity] = {}

    def resolve(self, image: Image, prepare: Prepare) -> tuple[Image, ImageIdentity]:
        """Have *image* prepared as the one that this run has for its reference.

        Args:
            image: as the user wrote it.
            prepare: `Provider.prepare`.

        Returns:
            The image by what it was prepared with, and its identity.

        Raises:
            ImageLockError: the lock file does not have it, or not what it has can be had.
            BlockError: as *prepare* raises.
        """
        if not image:
            return image, ImageIdentity(prepare(image))
        key = image.reference, image.platform
        with self._mutex:
            mutex = self._of_reference.setdefault(key, threading.Lock())
        with mutex:
            earlier = self._found.get(key)
            locked = self._lock.find(image.reference, image.platform or _own_platform())
            if earlier is not None and image.recipe is None:
                used, found = _prepare_pinned(image, str(earlier), earlier.facts.digest, "in this run", prepare)
                return used, earlier if found == earlier else found
            if self._is_locked and image.recipe is None and not is_by_digest(image.reference):
                used, identity = self._prepare_locked(image, locked, prepare)
            else:
                used, identity = image, ImageIdentity(prepare(image))
            self._check(image, identity, locked)
            self._keep(key, identity)
            return used, identity

    def _prepare_locked(
        self, image: Image, locked: LockedImage | None, prepare: Prepare
    ) -> tuple[Image, ImageIdentity]:
        if locked is None:
            raise self._not_listed(image)
        return _prepare_pinned(image, locked.id, locked.digest, f"by {self._lock_file}", prepare)

    def _check(self, image: Image, identity: ImageIdentity, locked: LockedImage | None) -> None:
        """Compare with the lock file: refuse another image in a locked run, and tell of one in any other."""
        if locked is None:
            if self._is_locked and not is_by_digest(image.reference):
                raise self._not_listed(image)
            return
        if locked.is_image(identity):
            return
        now = identity.facts.digest or identity
        if self._is_locked:
            raise ImageLockError(
                f"Image {image.reference!r} is locked to {locked.name}, and what can be run is {now}. Run cnflow lock "
                "if that is the one you want."
            )
        logger.warning(
            "image %s has moved since %s was written: locked is %s (%s), and %s runs. cnflow lock takes it over; "
            "Config(locked=True) runs what is locked",
            image.reference,
            self._lock_file,
            locked.name,
            locked.locked,
            now,
        )

    def _keep(self, key: tuple[str, str], identity: ImageIdentity) -> None:
        with self._mutex:
            self._found[key] = identity
            if self._record is None:
                return
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            images = [LockedImage.of(reference, found, moment) for (reference, _), found in self._found.items()]
            try:
                write_lock(self._record, ImageLock(images))
            except ConfigurationError as error:  # e.g. a full disk, which is no reason to end a run
                logger.warning("the images of this run are not recorded: %s", error)

    def _not_listed(self, image: Image) -> ImageLockError:
        known = self._lock.references
        listed = f" Known: {', '.join(known)}." if known else ""
        command = image.reference if image.recipe is None else "--config FILE, which has an executor with this recipe"
        return ImageLockError(
            f"Image {image.reference!r} is not in {self._lock_file}, and Config(locked=True) runs nothing else."
            f"{did_you_mean(image.reference, known)}{listed} Run: cnflow lock {command}"
        )


def _prepare_pinned(
    image: Image, identity: str, digest: str, where: str, prepare: Prepare
) -> tuple[Image, ImageIdentity]:
    """Have *image* prepared by its id, which the engine may have under whatever name, else by its digest."""
    if identity:
        by_id = image.pinned(identity, "never")
        with contextlib.suppress(ImageNotFoundError):
            return by_id, ImageIdentity(prepare(by_id))
    name = digest or identity
    if not digest:
        raise ImageLockError(
            f"Image {image.reference!r} is {name} {where}, which the engine does not have, and which was never in a "
            "registry. Load it there (docker save, docker load), or push it to a registry and lock it again."
        )
    by_digest = image.pinned(digest, "never" if image.pull == "never" else "missing")
    try:
        return by_digest, ImageIdentity(prepare(by_digest))
    except ImageNotFoundError as error:
        raise ImageLockError(f"Image {image.reference!r} is {name} {where}, which cannot be had. {error}") from error


def _own_platform() -> str:
    machine = platform.machine()
    return _MACHINES.get(machine, machine)
