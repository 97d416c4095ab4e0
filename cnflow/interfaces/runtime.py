"""Seam between the command of a manager and the container that it runs in; pure.

::

    NodeCommand(argv, environment, files, mounts) ──wrap(.., "app:1")──> NodeCommand(["apptainer", "exec", ...], ...)

A runtime is a settings class with this method, for nodes on which the provider itself starts no containers (a batch
system, SSH). Registered by an entry point of the group ``cnflow.runtimes``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cnflow.model.node_command import NodeCommand
    from cnflow.model.site_image import SiteImage


class Runtime(Protocol):
    """Wraps the command of a manager so that it runs in a container."""

    def wrap(self, command: NodeCommand, image: SiteImage) -> NodeCommand:
        """The command that starts *image* with the mounts and the environment of *command* and runs its argv there.

        Raises:
            ConfigurationError: the runtime cannot do what *command* asks for.
        """
