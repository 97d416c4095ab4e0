"""The seam to an engine that builds: what `cnflow.images.builder` needs of it. A provider implements it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cnflow.images.own_images import OwnImage

OnLine = Callable[[str], None]
"""Takes one line of a builder's output."""


class BuildEngine(Protocol):
    """An engine with images. Every call may block; each raises BlockError where the engine does not answer."""

    @property
    def host(self) -> str | None:
        """Address of the engine for its own command (DOCKER_HOST); None is the command's default."""

    def can_buildkit(self) -> bool:
        """Return True if the engine contains BuildKit, which its command then reaches."""

    def platform(self) -> str:
        """Return the engine's own platform, such as ``linux/amd64``."""

    def image_id(self, image: str) -> str:
        """Return the id of a local image; empty if there is none of this name."""

    def image_config(self, image_id: str) -> Mapping[str, Any]:
        """Return the configuration of a local image, with ``Entrypoint`` and ``Cmd``."""

    def pull(self, image: str, platform: str | None) -> str:
        """Pull an image; return the engine's words if that failed, else an empty string."""

    def build(self, context: IO[bytes], options: Mapping[str, object], on_line: OnLine) -> tuple[str, str]:
        """Build with the engine's classic builder.

        Args:
            context: tar with all files.
            options: by the names of the API: ``dockerfile``, ``tag``, ``labels``, ``buildargs``, ``target``, ...
            on_line: takes the output.

        Returns:
            The id of the image, and an empty string; or an empty id, and the engine's words.
        """

    def run_step(
        self, image: str, argv: Sequence[str], values: Mapping[str, bytes], labels: Mapping[str, str], on_line: OnLine
    ) -> tuple[str, int]:
        """Run a step with secrets in a container and commit it, without the secrets.

        Args:
            image: id of the image before the step.
            argv: command line of the step.
            values: secrets by name, which the step has as files in a file system in memory.
            labels: of the image that is committed, and of the container while there is one.
            on_line: takes the output.

        Returns:
            The id of the image after the step, and 0; or an empty id, and the exit code of the command.
        """

    def labelled_images(self, label: str) -> Sequence[OwnImage]:
        """Return the images that have *label*, with what uses them."""

    def remove_image(self, name: str) -> str:
        """Remove a name or an id; return the engine's words if that failed, else an empty string."""

    def remove_containers(self, label: str) -> None:
        """Remove containers with *label*, ``NAME=VALUE``: those of a build whose driver was killed."""
