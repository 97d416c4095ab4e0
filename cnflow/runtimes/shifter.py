"""Shifter. Pure.

Options: https://github.com/NERSC/shifter/blob/master/src/shifter.c (its usage and its table of options), and
https://docs.nersc.gov/development/containers/shifter/how-to-use/.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from cnflow.config.runtimes import ContainerRuntime
from cnflow.errors import ConfigurationError
from cnflow.model.site_image import ImageForm
from cnflow.runtimes import script

if TYPE_CHECKING:
    from cnflow.model.node_command import NodeCommand
    from cnflow.model.site_image import SiteImage

# All variables of the calling process enter the container; those of the image's ENV win. These choose another image.
_UNSET = """\
unset SHIFTER SHIFTER_IMAGE SHIFTER_IMAGETYPE SHIFTER_VOLUME
for name in $(env | sed -n 's/^\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p'); do
    case " $names HOME USER LOGNAME TMPDIR PATH PWD " in *" $name "*) ;; *) unset "$name" ;; esac
done
"""

_NEVER_BELOW = ("/dev", "/etc", "/opt/udiImage", "/proc", "/var")


class ShifterRuntime(ContainerRuntime):
    """Runs images by ``shifter``, which the site's gateway has pulled.

    A container sees the file systems of the site under their own paths, as its administrators have set.
    """

    noun: ClassVar[str] = "Shifter"
    programs: ClassVar[tuple[str, ...]] = ("shifter",)
    forms: ClassVar[tuple[ImageForm, ...]] = (ImageForm.REFERENCE,)

    kind: Literal["shifter"] = "shifter"
    modules: list[str] = Field(default_factory=list)
    """Modules of the site that are added to the container, such as ``gpu`` (``--module``)."""

    image_type: str = "docker"
    """Type of the image for the gateway, before its name."""

    def script(self, command: NodeCommand, image: SiteImage) -> str:
        """POSIX sh that ends in ``shifter``."""
        if self.secrets_folder:
            raise ConfigurationError(
                "Shifter has no folder in memory for secrets: deliver them as variables, Secret(..., "
                "delivery='environment')."
            )
        # Paths of the site that are seen under their own names are seen in every container.
        volumes = [_volume(each) for each in script.binds_of(self, command) if not each.is_same]
        reference = image.reference.removeprefix("docker://")
        words = [
            '"$program"',
            f"--image={shlex.quote(f'{self.image_type}:{reference}')}",
            *(f"--module={shlex.quote(','.join(self.modules))}" for _ in self.modules[:1]),
            *(f"--volume={each}" for each in volumes),
            *(f"--workdir={shlex.quote(self.working_dir)}" for _ in self.working_dir[:1]),
            *(["--entrypoint"] if self.entrypoint == "keep" else []),
            *map(shlex.quote, self.options),
            "--",
        ]
        return "".join(
            (
                script.FAIL,
                script.find_program(self.program, self.programs, self.noun),
                script.shared_memory(self),
                script.gpus(self, [], []),
                script.variables(self, command),
                _UNSET,
                "export PYTHONNOUSERSITE=1\n",
                script.start([*words, script.argv_of(self, command)]),
            )
        )


def _volume(bind: script.Bind) -> str:
    target = bind.target.strip('"')
    if any(target == each or target.startswith(f"{each}/") for each in _NEVER_BELOW):
        raise ConfigurationError(f"mounts: {target}: Shifter mounts nothing in {', '.join(_NEVER_BELOW)}.")
    return f"{bind.source}:{bind.target}" + (":ro" if bind.is_read_only else "")
