"""Seam between the command of a manager and the container that it runs in; pure.

::

    runtime.at(programs of the login node) ──> the runtime of the site
           .for_image(Image("app:1", ...)) ──> with the options of an image, or refused
           .wrap(NodeCommand(argv, environment, files, mounts), SiteImage(...)) ──> NodeCommand(["/bin/sh", ...])

A runtime is a settings class with these methods, for nodes on which the provider itself starts no containers (a batch
system, SSH). Registered by an entry point of the group ``cnflow.runtimes``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.model.image import Image
    from cnflow.model.node_command import NodeCommand
    from cnflow.model.site_image import SiteImage


class Runtime(Protocol):
    """Wraps the command of a manager so that it runs in a container."""

    def at(self, found: Sequence[str]) -> Runtime:
        """The runtime of a site, on whose login node the programs at the paths *found* are."""

    def for_image(self, image: Image) -> Runtime:
        """The runtime with the options of *image* in place of its own of the same meaning.

        Raises:
            ConfigurationError: the runtime does not have an option that *image* asks for.
        """

    def wrap(self, command: NodeCommand, image: SiteImage) -> NodeCommand:
        """The command that starts *image* with the mounts and the environment of *command* and runs its argv there.

        Raises:
            ConfigurationError: the runtime cannot do what *command* asks for.
        """
