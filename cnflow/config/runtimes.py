"""Settings of the runtimes: how a command becomes a container on a node on which the provider itself starts none.

::

    runtime="auto" ──at(programs of the login node)──> ApptainerRuntime(...)
                                                           │ for_image(Image("app:1", memory="4g", ...))
                                                           ▼
    NodeCommand(argv, environment, mounts) ──wrap(command, SiteImage)──> NodeCommand(["/bin/sh", "-c", SCRIPT])

All three are pure. What only the node knows (which program it has, its version, its GPUs, variables of its scheduler)
is looked at by the script, in POSIX sh. The classes of the runtimes themselves are in `cnflow.runtimes`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator

from cnflow.config import runtime_image
from cnflow.config.base import Settings
from cnflow.config.registry import RUNTIMES
from cnflow.errors import ConfigurationError
from cnflow.model.site_image import ImageForm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from cnflow.model.image import Image
    from cnflow.model.node_command import NodeCommand
    from cnflow.model.site_image import SiteImage


class RuntimeSettings(Settings):
    """Options of every runtime; the class is its own live half, since its methods are pure."""

    programs: ClassVar[tuple[str, ...]] = ()
    """Names under which the runtime's program may be found, the preferred first; none is needed on the bare node."""

    forms: ClassVar[tuple[ImageForm, ...]] = (ImageForm.NONE,)
    """Forms in which the runtime takes an image, the one that it should get first."""

    kind: str
    program: str = ""
    """Name or path of the program at the site; empty takes the first of its names that the node has."""

    options: list[str] = Field(default_factory=list)
    """Further options of the program, after cnflow's own."""

    @property
    def form(self) -> ImageForm:
        """Form in which the runtime should get an image."""
        return self.forms[0]

    def at(self, found: Sequence[str]) -> RuntimeSettings:  # noqa: ARG002 - for the automatic choice
        """The runtime of a site, on whose login node the programs at the paths *found* are."""
        return self

    def for_image(self, image: Image) -> RuntimeSettings:  # noqa: ARG002 - for containers
        """The runtime with the options of *image* in place of its own of the same meaning.

        Raises:
            ConfigurationError: the runtime does not have an option that *image* asks for.
        """
        return self

    def wrap(self, command: NodeCommand, image: SiteImage) -> NodeCommand:
        """The command that runs *command* in a container of *image*, with its variables, mounts and files. Pure.

        The caller gives the values of `NodeCommand.environment` to the command that is returned, as variables.

        Raises:
            ConfigurationError: the runtime cannot do what *command* asks for.
        """
        raise NotImplementedError


class NoRuntime(RuntimeSettings):
    """Runs the command on the bare node."""

    kind: Literal["none"] = "none"

    def for_image(self, image: Image) -> RuntimeSettings:
        """Refuse *image*."""
        raise ConfigurationError(
            f"image {image.name!r}: runtime='none' runs no images. Set runtime='auto', or the one of the site, such as "
            "runtime='apptainer'."
        )

    def wrap(self, command: NodeCommand, image: SiteImage) -> NodeCommand:  # noqa: ARG002 - part of the seam
        """The command itself."""
        return command


class ContainerRuntime(RuntimeSettings):
    """Options of every runtime that starts containers. A container shares the network of its node."""

    noun: ClassVar[str] = ""
    """Name of the runtime, for messages."""

    mounts: dict[str, str] = Field(default_factory=dict)
    """Path at the site -> path in the container, which may end in ``:ro``; ``~`` and variables are the node's."""

    environment: dict[str, str] = Field(default_factory=dict)
    """Variables set in the container."""

    passed_variables: list[str] = Field(default_factory=list)
    """Names of the node's variables that enter the container, or patterns such as ``MKL_*``, besides those of
    schedulers, GPUs, languages and proxies. All others stay outside."""

    gpus: Literal["auto", "nvidia", "amd", "none"] = "auto"
    """GPUs that the container sees: ``auto`` shows those that the node has; ``nvidia`` and ``amd`` fail on a node that
    has none. Their number is the scheduler's."""

    working_dir: str = ""
    """Folder in the container in which workers start; empty is the job's own if the container has it."""

    home: bool = True
    """The user's home folder is seen in the container under its own path."""

    secrets_folder: bool = False
    """A folder in the node's memory is mounted at ``/run/secrets``; an image with secrets sets this itself."""

    shared_memory: int | None = Field(default=None, ge=1)
    """Bytes of ``/dev/shm`` that the container needs; where it sees the node's, the node must have as many."""

    entrypoint: Literal["replace", "keep"] | list[str] = "replace"
    """``replace``: cnflow's command runs in place of the image's ENTRYPOINT. ``keep``: the ENTRYPOINT runs, with
    cnflow's command as its arguments. A list: that command, with cnflow's as its arguments."""

    def for_image(self, image: Image) -> Self:
        """A copy with the options of *image*, which win."""
        changed = runtime_image.options_for(
            image, self.kind, self.noun, runtime_image.Own.of(self), self._engine_options
        )
        return self.model_copy(update=changed) if changed else self

    def _engine_options(self, image: Image) -> dict[str, list[str]]:
        """Options of the program for what only engines such as Docker have, by their name in `Image`."""
        del image
        return {}

    def script(self, command: NodeCommand, image: SiteImage) -> str:
        """POSIX sh that replaces itself by the container."""
        raise NotImplementedError

    def wrap(self, command: NodeCommand, image: SiteImage) -> NodeCommand:
        """A command that runs `script`; what *command* mounts and sets is in it, by path and by name."""
        if image.form not in self.forms:
            raise ConfigurationError(
                f"{self.noun} cannot run an image in the form {image.form.value!r} ({image.reference}); it takes: "
                f"{', '.join(form.value for form in self.forms)}."
            )
        return replace(
            command,
            argv=("/bin/sh", "-c", self.script(command, image)),
            environment={**self.environment, **command.environment},
            mounts={},
        )


AUTOMATIC = ("apptainer", "podman_hpc", "shifter", "charliecloud", "podman", "docker")
"""Kinds of the runtimes among which ``auto`` chooses, the preferred first."""


class AutoRuntime(ContainerRuntime):
    """The first that the node has of Apptainer or Singularity, podman-hpc, Shifter, Charliecloud, Podman and Docker."""

    noun: ClassVar[str] = "The runtime 'auto'"
    forms: ClassVar[tuple[ImageForm, ...]] = (
        ImageForm.FOLDER,  # which most runtimes take
        ImageForm.SIF,
        ImageForm.ARCHIVE,
        ImageForm.REFERENCE,
    )
    kind: Literal["auto"] = "auto"

    @field_validator("program", "options")
    @classmethod
    def _is_of_one_runtime(cls, value: object) -> object:
        if value:
            raise ValueError("choose the runtime first, such as runtime=ApptainerRuntime(options=[...])")
        return value

    def at(self, found: Sequence[str]) -> RuntimeSettings:
        """The runtime whose program the login node has; the automatic one itself where it has none of them."""
        names = {PurePosixPath(path).name for path in found}
        return next((each for each in self.candidates() if names.intersection(each.programs)), self)

    def candidates(self) -> list[ContainerRuntime]:
        """The runtimes among which the node chooses, with these options."""
        own = {
            name: getattr(self, name) for name in ContainerRuntime.model_fields.keys() - {"kind", "program", "options"}
        }
        made = [RUNTIMES.find(kind)(**own) for kind in AUTOMATIC]
        return [each for each in made if isinstance(each, ContainerRuntime)]

    def script(self, command: NodeCommand, image: SiteImage) -> str:
        """POSIX sh that tries one after the other."""
        fitting = [each for each in self.candidates() if image.form in each.forms]
        tests = [f"if {_has(each.programs)}; then\n{each.script(command, image)}fi\n" for each in fitting]
        names = ", ".join(name for each in fitting for name in each.programs)
        return "".join(tests) + (
            f'echo "cnflow: $(uname -n) has none of {names} in its PATH, and so cannot run the image. Load a module in '
            "worker_init, choose nodes that have one of them, or set the program: "
            "runtime=ApptainerRuntime(program='/PATH').\" >&2\nexit 127\n"
        )

    def for_image(self, image: Image) -> Self:
        """A copy with the options of *image*; those that only some runtimes have need one of these by name."""
        if own := sorted(image.extras.keys() & (set(AUTOMATIC) - {"docker"})):  # which are DockerProvider's, too
            raise ConfigurationError(
                f"Image {image.name!r}: extras: options for {own[0]!r} need this runtime by name: runtime={own[0]!r}."
            )
        return super().for_image(image)


def _has(programs: Sequence[str]) -> str:
    return " || ".join(f"command -v {name} >/dev/null 2>&1" for name in programs)


def _parse(value: object) -> object:
    """Settings made from a kind, such as ``"apptainer"``, or a table of a file."""
    return RUNTIMES.parse({"kind": value} if isinstance(value, str) else value)


AnyRuntime = Annotated[SerializeAsAny[RuntimeSettings], BeforeValidator(_parse)]
"""Type of an option that is a runtime: settings, a kind, or a table of a file."""
