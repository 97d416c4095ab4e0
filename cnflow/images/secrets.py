"""Values of the secrets that a build has: variables of the driver, and files. They reach no layer, log or error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import ConfigurationError, ImageBuildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.model.image_parts import Secret

SHOWN = "[secret]"
_SHORTEST = 4
"""Characters of a secret that is hidden in output; a shorter one would hide half of it."""


def read_secrets(wanted: Mapping[str, Secret]) -> dict[str, bytes]:
    """Return name -> value of *wanted*.

    Raises:
        ImageBuildError: a source has none; names it.
    """
    try:
        return {name: secret.read(name).encode("utf-8", "surrogateescape") for name, secret in wanted.items()}
    except ConfigurationError as error:
        raise ImageBuildError(f"A build step has a secret that is missing: {error}") from error


def hide_secrets(line: str, values: Iterable[bytes]) -> str:
    """Return a line of output without the lines of secrets that a step printed."""
    for value in values:
        for part in value.decode(errors="replace").splitlines():
            if len(part.strip()) >= _SHORTEST:
                line = line.replace(part.strip(), SHOWN)
    return line
