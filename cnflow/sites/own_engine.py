"""The container engines of the driver's machine, asked by their own commands: which image is it, and its archive.

Docker and Podman have the same commands for this: https://docs.podman.io/en/latest/Commands.html
"""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ImageNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROGRAMS = ("docker", "podman")
_PATIENCE = 60.0
_SHOWN = 600


class EngineImage(NamedTuple):
    """An image that an engine of this machine has."""

    program: str
    """Path of the engine's command."""

    name: str
    """By which it was found."""

    id: str
    digests: tuple[str, ...]
    """``REPOSITORY@sha256:...`` by which registries have it."""

    operating_system: str
    architecture: str
    variant: str
    size: int


class OwnEngines:
    """Engines of this machine.

    Args:
        programs: names of their commands.
    """

    def __init__(self, programs: Sequence[str] = _PROGRAMS) -> None:
        self._programs = [path for name in programs if (path := shutil.which(name))]

    def find(self, name: str) -> EngineImage | None:
        """The image *name*, a name or an id; None if no engine here has it, or none responds."""
        for program in self._programs:
            done = _run(program, "image", "inspect", name)
            found = _parse_inspected(program, name, done.stdout) if done.returncode == 0 else None
            if found is not None:
                return found
        return None

    def pull(self, name: str) -> EngineImage:
        """Pull *name* by the first engine that can.

        Raises:
            ImageNotFoundError: none can; the message has their words.
        """
        words = []
        for program in self._programs:
            done = _run(program, "pull", "--quiet", name, patience=None)
            found = self.find(name) if done.returncode == 0 else None
            if found is not None:
                return found
            words.append(done.stderr.strip()[-_SHOWN:])
        here = "; ".join(words) if words else "there is no docker or podman on this machine"
        raise ImageNotFoundError(f"The driver's machine cannot pull it, either: {here}")

    def save(self, image: EngineImage, target: IO[bytes]) -> None:
        """Write *image* to *target* as a Docker archive.

        Raises:
            ImageNotFoundError: the engine refuses; the message has its words.
            OSError: *target* cannot be written.
        """
        options = ["--format", "docker-archive"] if image.program.endswith("podman") else []
        argv = [image.program, "save", *options, image.name]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as saving:
            assert saving.stdout is not None
            assert saving.stderr is not None
            try:
                shutil.copyfileobj(saving.stdout, target, 1 << 20)
            except OSError:
                saving.kill()
                raise
            words = saving.stderr.read().decode("utf-8", "replace").strip()
        if saving.returncode:
            raise ImageNotFoundError(f"Image {image.name!r} cannot be saved: {words[-_SHOWN:]}")


def _run(program: str, *arguments: str, patience: float | None = _PATIENCE) -> subprocess.CompletedProcess[str]:
    argv = [program, *arguments]
    try:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=patience
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(argv, 1, "", str(error))


def _parse_inspected(program: str, name: str, text: str) -> EngineImage | None:
    try:
        parsed: Any = json.loads(text)
        attributes: Mapping[str, Any] = parsed[0]
        identity = str(attributes["Id"])
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    return EngineImage(
        program,
        name,
        identity if identity.startswith("sha256:") else f"sha256:{identity}",
        tuple(attributes.get("RepoDigests") or ()),
        str(attributes.get("Os") or ""),
        str(attributes.get("Architecture") or ""),
        str(attributes.get("Variant") or ""),
        int(attributes.get("Size") or 0),
    )
