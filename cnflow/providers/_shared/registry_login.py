"""Content of the file by which an engine logs in to the registry of an image, as ``docker login`` writes it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.model.image import Image

_DOCKER_HUB = "https://index.docker.io/v1/"
"""Key of Docker Hub, https://docs.docker.com/reference/cli/docker/login/; other registries are keyed by their host."""


def login_file(image: Image) -> bytes:
    """Return the file for the credentials of *image*, which has some.

    Raises:
        ConfigurationError: the source of the password has none.
    """
    assert image.credentials is not None
    first, slash, _ = image.reference.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    user, password = image.credentials.user, image.credentials.password.read(f"Image {image.name!r}: password")
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    entry = {"username": user, "password": password, "auth": pair}
    return json.dumps({"auths": {first if is_host else _DOCKER_HUB: entry}}).encode()
