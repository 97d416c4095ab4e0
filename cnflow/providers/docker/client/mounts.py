"""Looks whether folders that are to be mounted are there, for an engine that makes those that are missing.

::

    before create ──> missing on this machine ─────────────────────────> refused
    after create  ──> another folder in the container than here ────────> refused: the engine is on another machine, or
                                                                          the driver is in a container itself
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.errors import BlockRejectedError
from cnflow.providers.docker.responses import seconds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import docker

_LOOKS = 5
"""A folder that changes at each look is taken to be another one."""


class MountSources:
    """Paths of this machine that containers of one engine mount; each is compared once.

    Args:
        client: of the engine.
    """

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._seen: set[str] = set()

    def refuse_missing(self, mounts: Sequence[tuple[str, str]]) -> None:
        """Refuse *mounts*, pairs of source and target, if a source is not on this machine.

        Raises:
            BlockRejectedError: names the path.
        """
        for source, _ in mounts:
            if not os.path.lexists(source):
                raise BlockRejectedError(
                    f"bind source path does not exist: {source} (Podman would make an empty folder there)"
                )

    def refuse_others(self, container: str, mounts: Sequence[tuple[str, str]]) -> None:
        """Refuse *mounts* of a container that was created, if the engine took another file or folder for a source.

        Raises:
            BlockRejectedError: names the path.
        """
        for source, target in mounts:
            if source in self._seen:
                continue
            if not any(self._is_same(container, source, target) for _ in range(_LOOKS)):
                raise BlockRejectedError(
                    f"bind source path does not exist: {source} (the Podman engine has another folder of this name)"
                )
            self._seen.add(source)

    def _is_same(self, container: str, source: str, target: str) -> bool:
        """Compare the time of the last change: the engine reports no other property that a folder of its own lacks."""
        own = int(Path(source).stat().st_mtime)
        url = f"{self._client.api.base_url}/v{self._client.api.api_version}/containers/{container}/archive"
        described = self._client.api.head(url, params={"path": target}).headers.get("X-Docker-Container-Path-Stat", "")
        try:
            return int(seconds_of(json.loads(base64.b64decode(described))["mtime"])) == own
        except (ValueError, KeyError):
            return False
