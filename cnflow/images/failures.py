"""Names the cause of a build that failed, and what to do. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import ImageBuildError
from cnflow.text import indent_under

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LINES = 12

_ADVICE: Mapping[tuple[str, ...], str] = {
    ("no space left on device", "disk quota exceeded"): (
        "The engine's disk is full. Remove images with 'cnflow image prune' and 'docker image prune', or give it more "
        "room."
    ),
    ("requires buildkit", "unknown flag: mount", "the --mount option"): (
        "This engine or its command builds without BuildKit: install docker-buildx, or write the step as "
        "run(..., secrets=[...]) of a recipe."
    ),
    ("unknown instruction", "dockerfile parse error", "syntax error"): (
        "The Dockerfile is not valid: correct the line that is named."
    ),
    ("not found in build context", "forbidden path outside", "failed to compute cache key", "copy failed"): (
        "The Dockerfile copies a file that its context does not have: correct the path, context=, or the .dockerignore "
        "that keeps it out."
    ),
    ("no matching distribution", "could not find a version", "resolutionimpossible"): (
        "Correct the name or version of the package. Behind a private index, give pip its address: "
        "secrets=['PIP_INDEX_URL'], or secrets={'pip.conf': 'file:PATH'}."
    ),
    ("certificate verify failed", "certificate_verify_failed"): (
        "The package index has a certificate that the image does not know: secrets={'pip.crt': 'file:PATH'} gives pip "
        "the bundle of this machine, such as /etc/ssl/certs/ca-certificates.crt."
    ),
    ("externally-managed-environment",): (
        "The base's Python belongs to its distribution: start from Image.python(...), or install with apt_install."
    ),
    ("unable to locate package",): (
        "Correct the name of the package; it must exist in the distribution of the base image."
    ),
    ("no module named pip", "python3: not found", "apt-get: not found", "executable file not found"): (
        "The base image does not have this program: start from another one, such as Image.python('3.11'), or install "
        "it in an earlier step."
    ),
    ("temporary failure in name resolution", "could not resolve", "connection timed out", "network is unreachable"): (
        "The build does not reach the network. If there is a proxy, set HTTPS_PROXY for this process: it is passed on "
        "to builds, and kept in no image."
    ),
}
"""Advice by words of which one is in the output, in lower case."""


def build_failure(image: str, step: str, why: str, tail: Sequence[str], log: str = "") -> ImageBuildError:
    """Return the error of a build.

    Args:
        image: its name.
        step: that failed, in words; empty if none began.
        why: the builder's reason, or the exit of its process.
        tail: last lines of the step.
        log: path of the whole log; empty if there is none.
    """
    words = " ".join([why, *tail]).lower()
    fitting = (advice for signs, advice in _ADVICE.items() if any(sign in words for sign in signs))
    advice = next(fitting, "Correct this step.")
    where = f" at {step}" if step else ""
    whole = f" The whole log is {log}." if log else ""
    lines = indent_under("The last lines of that step:", "\n".join(tail[-_LINES:]))
    return ImageBuildError(f"Building image {image} failed{where}: {why.strip()}{lines}\n{advice}{whole}")


def base_failure(image: str, base: str, why: str) -> ImageBuildError:
    """Return the error for a base that the engine does not have and cannot pull."""
    return ImageBuildError(
        f"Image {image} cannot be built: its base {base!r} is not here, and pulling it failed: {why}\nCorrect the "
        "name, log in to its registry (docker login), or name a base that the engine has: base=..., or the variable "
        "CNFLOW_BASE_IMAGE for Image.python. Without a registry, images/base-image.sh makes cnflow-base:X.Y of "
        "Debian's packages."
    )
