"""Names the cause of a pull that failed, from the words of who pulled: an engine, Apptainer, ``ch-image``. No I/O."""

from __future__ import annotations

import enum
import re


class Cause(enum.Enum):
    """Cause of a pull that failed; the value states it, with the registry's name in it."""

    ABSENT = "the registry {registry} has no image of this name"
    UNAUTHORISED = "the registry {registry} wants other credentials, or has no such image"
    RATE_LIMIT = "the registry {registry} limits how often it is asked"
    UNREACHABLE = "the registry {registry} was not reached"
    UNKNOWN_HOST = "there is no machine {registry}"
    UNAVAILABLE = "the registry {registry} failed"
    UNTRUSTED = "the engine does not trust the certificate of the registry {registry}"
    DAMAGED = "what the registry {registry} sent is not what its digest says"
    PLATFORM = "the registry {registry} does not have it for this platform"
    DISK_FULL = "the engine's disk is full"
    OTHER = "the engine refused"


# Words of Docker 20.10 to 28, and of Podman 4 and 5 behind its API. The first that fits counts. Codes of registries:
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
_WORDS: tuple[tuple[str, Cause], ...] = (
    (r"toomanyrequests|too many requests|status(?: code)?:? 429|rate limit", Cause.RATE_LIMIT),
    (r"no space left on device|disk quota exceeded", Cause.DISK_FULL),
    (r"verification failed for digest|digest did not match|unexpected commit digest|wrong diff id", Cause.DAMAGED),
    (
        r"no matching manifest|no image found in (manifest list|image index)|does not match the specified",
        Cause.PLATFORM,
    ),
    (r"x509:|certificate|server gave http response to https", Cause.UNTRUSTED),
    (r"no basic auth|unauthorized|authentication required|denied|invalid username|forbidden", Cause.UNAUTHORISED),
    (r"manifest unknown|name unknown|not found: does not exist|repository .* not found", Cause.ABSENT),
    (r"no such host|name or service not known", Cause.UNKNOWN_HOST),
    (r"connection refused|timeout|timed out|deadline exceeded|unreachable|reset by peer|\beof\b", Cause.UNREACHABLE),
    (r"no route to host|failure in name resolution|server misbehaving", Cause.UNREACHABLE),
    (r"status(?: code)?:? 50[0234]|internal server error|bad gateway|unavailable", Cause.UNAVAILABLE),
)


def cause_of(words: str, image: str) -> Cause:
    """Cause of a pull of *image* that failed with these *words* of an engine, which may name the image."""
    name = image.partition("@")[0]
    head, _, last = name.rpartition("/")
    repository = f"{head}/{last.partition(':')[0]}" if head else last.partition(":")[0]
    about = words.replace(name, "").replace(repository, "").lower()
    return next((cause for pattern, cause in _WORDS if re.search(pattern, about)), Cause.OTHER)
