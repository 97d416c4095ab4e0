"""Pulls an image: tries again what may pass, and names the cause of what does not.

::

    pull ──> done
      └── words ── cause_of ──> RATE_LIMIT, UNREACHABLE, UNAVAILABLE ── wait ──> pull, while `Patience` lasts
                      │                                     └── no longer ──┐
                      └──> ABSENT, UNAUTHORISED, UNTRUSTED, ... ────────────┴──> error_of: image, words, what to do

An engine does not pass on the header ``Retry-After``. Registries that write the time into their words are understood;
else the waits double.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import ImageNotFoundError, ImagePullError
from cnflow.images.pull_causes import Cause, cause_of
from cnflow.images.references import registry_of, with_tag
from cnflow.text import did_you_mean
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cnflow.providers.docker.client import Engine

logger = logging.getLogger(__name__)

_LONGEST_WAIT = Seconds(60.0)
"""A registry that wants a longer wait between two pulls is not asked again."""

_SHOWN = 600
"""Characters of an engine's words that an error quotes."""


_WAITS: Mapping[Cause, tuple[float, ...]] = {
    Cause.RATE_LIMIT: (2.0, 4.0, 8.0, 16.0),
    Cause.UNREACHABLE: (0.5, 1.0, 2.0),
    Cause.UNAVAILABLE: (0.5, 1.0, 2.0),
}
"""Seconds before the next pulls; a cause without an entry is not tried again."""

_RETRY_AFTER = re.compile(r"retry[- ]after:?\s*(\d+(?:\.\d+)?)\s*(ms|µs|us|ns|s|m|h)?", re.IGNORECASE)
_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9, "m": 60.0, "h": 3600.0}


class Pull(NamedTuple):
    """An image that is to be pulled."""

    image: str
    """As the user wrote it."""

    platform: str | None = None
    credentials: Mapping[str, str] | None = None
    """``username`` and ``password``; None leaves them to the file that ``docker login`` writes."""


def pull(engine: Engine, wanted: Pull, wait: Callable[[float], None] = time.sleep) -> None:
    """Pull an image, and try again where that may help.

    Raises:
        ImageNotFoundError: no registry has it.
        ImagePullError: it was refused or not reached; the message has the engine's words and what to do.
        BlockError: the engine does not answer.
    """
    patience = Patience()
    for attempt in range(1, 100):
        words = engine.pull(wanted.image, wanted.platform, wanted.credentials)
        if not words:
            return
        cause = cause_of(words, wanted.image)
        seconds = patience.next_wait(cause, words)
        if seconds is None:
            raise error_of(wanted, words, engine.image_names(), attempt)
        what = cause.value.format(registry=registry_of(wanted.image))
        logger.warning("image %s: %s; it is pulled again in %.1f s: %s", wanted.image, what, seconds, words)
        wait(seconds)


class Patience:
    """Decides whether a pull that failed is tried again, and when."""

    def __init__(self) -> None:
        self._waits: dict[Cause, Iterator[float]] = {}

    def next_wait(self, cause: Cause, words: str) -> Seconds | None:
        """Seconds until the next pull after one that failed for *cause*, with *words*; None: there is none."""
        planned = next(self._waits.setdefault(cause, iter(_WAITS.get(cause, ()))), None)
        if planned is None:
            return None
        asked = retry_after(words)
        seconds = Seconds(planned if asked is None else max(asked, 0.1))
        return seconds if seconds <= _LONGEST_WAIT else None


def retry_after(words: str) -> float | None:
    """Seconds that a registry's *words* ask to wait; None if they do not say."""
    found = _RETRY_AFTER.search(words)
    return None if found is None else float(found[1]) * _UNITS[(found[2] or "").lower()]


def error_of(wanted: Pull, words: str, local: list[str], attempts: int = 1) -> ImageNotFoundError:
    """Return the error of a pull that failed for good.

    Args:
        wanted: what was pulled.
        words: the engine's.
        local: names of the images that the engine has.
        attempts: number of pulls.
    """
    image, registry, cause = wanted.image, registry_of(wanted.image), cause_of(words, wanted.image)
    near = did_you_mean(with_tag(image), local)
    times = f" {attempts} times" if attempts > 1 else ""
    step = f"Pulling it failed{times}: {words[:_SHOWN]}"
    if cause in {Cause.ABSENT, Cause.UNKNOWN_HOST, Cause.OTHER}:
        return ImageNotFoundError(
            f"Image {image!r} was not found.{near} {step}\nBuild it, pull it, or correct its name."
        )
    what = cause.value.format(registry=registry)
    return ImagePullError(f"Image {image!r} cannot be used: {what}.{near} {step}\n{_advice(cause, wanted)}")


def _advice(cause: Cause, wanted: Pull) -> str:
    registry = registry_of(wanted.image)
    login = f"docker login {registry}" if registry != "docker.io" else "docker login"
    if cause is Cause.UNAUTHORISED:
        given = "correct the Image's credentials=" if wanted.credentials else "give the Image credentials="
        return f"Run: {login}, or {given}; and see that the name is right."
    platform = wanted.platform or "the engine's own platform"
    return {
        Cause.RATE_LIMIT: f"Try later, or raise the limit by credentials ({login}), or use a registry of your own.",
        Cause.UNREACHABLE: "See that the engine's machine can reach it (network, proxy), or load the image there.",
        Cause.UNAVAILABLE: "Try later, or look at the log of the registry.",
        Cause.UNTRUSTED: f"Put the certificate of its authority into /etc/docker/certs.d/{registry}/ca.crt on the "
        "engine's machine, or list it under insecure-registries of its daemon.json (Podman: with insecure = true "
        "in registries.conf).",
        Cause.DAMAGED: "Something between it and the engine changes what it sends, or its storage is damaged: pull it "
        "once more, push the image again, or ask who runs it.",
        Cause.PLATFORM: f"Asked for was {platform}. Build the image for it, or name another platform=.",
        Cause.DISK_FULL: "Free some of it (docker system df shows what takes it), and run the script again.",
    }[cause]
