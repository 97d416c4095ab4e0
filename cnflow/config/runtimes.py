"""Settings of the runtimes: how a command becomes a container on a node on which the provider itself starts none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from cnflow.config.base import Settings
from cnflow.config.registry import RUNTIMES
from cnflow.model.site_image import ImageForm

if TYPE_CHECKING:
    from cnflow.model.node_command import NodeCommand
    from cnflow.model.site_image import SiteImage


class RuntimeSettings(Settings):
    """Options of every runtime; the class is its own live half, since `wrap` is pure."""

    programs: ClassVar[tuple[str, ...]] = ()
    """Names under which the runtime's program may be found, the preferred first; none is needed on the bare node."""

    form: ClassVar[ImageForm] = ImageForm.NONE
    """Form in which the runtime takes an image."""

    kind: str
    program: str = ""
    """Name or path of the program at the site; empty takes the first of `programs` that the node has."""

    options: list[str] = Field(default_factory=list)
    """Further options of the program, after cnflow's own."""

    def wrap(self, command: NodeCommand, image: SiteImage) -> NodeCommand:
        """The command that runs *command* in a container of *image*, with its variables, mounts and files. Pure.

        Raises:
            ConfigurationError: the runtime cannot do what *command* asks for.
        """
        raise NotImplementedError


class NoRuntime(RuntimeSettings):
    """Runs the command on the bare node."""

    kind: Literal["none"] = "none"

    def wrap(self, command: NodeCommand, image: SiteImage) -> NodeCommand:  # noqa: ARG002 - part of the seam
        """The command itself."""
        return command


class AutoRuntime(RuntimeSettings):
    """The first runtime that the node has."""

    kind: Literal["auto"] = "auto"


def _parse(value: object) -> object:
    """Settings made from a kind, such as ``"apptainer"``, or a table of a file."""
    return RUNTIMES.parse({"kind": value} if isinstance(value, str) else value)


AnyRuntime = Annotated[SerializeAsAny[RuntimeSettings], BeforeValidator(_parse)]
"""Type of an option that is a runtime: settings, a kind, or a table of a file."""
