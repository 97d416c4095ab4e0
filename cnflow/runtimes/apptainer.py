"""Apptainer, and Singularity from version 3 on. Pure.

Options: https://apptainer.org/docs/user/1.4/cli/apptainer_exec.html (Apptainer 1.4).
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, ClassVar, Literal

from cnflow.config.runtimes import ContainerRuntime
from cnflow.errors import ConfigurationError
from cnflow.model.site_image import ImageForm
from cnflow.runtimes import script

if TYPE_CHECKING:
    from cnflow.model.node_command import NodeCommand
    from cnflow.model.site_image import SiteImage

# Variables of the container are set by ones with a prefix, so that values are on no command line. Apptainer warns where
# the prefix is Singularity's: https://apptainer.org/docs/user/1.4/environment_and_metadata.html.
_VERSION = """\
version=$("$program" --version 2>&1)
case $version in
    apptainer*) prefix=APPTAINERENV_ ;;
    [012].* | "singularity version "[012].*)
        fail 69 "$program on $(uname -n) is Singularity ${version##* }, and must be version 3 or newer, or Apptainer." \
            "Load another module in worker_init."
        ;;
    *) prefix=SINGULARITYENV_ ;;
esac
"""

# From Apptainer 1.1 and SingularityCE 3.10 on; older ones evaluate $ and ` in values of variables.
_NO_EVAL = 'if "$program" exec --help 2>/dev/null | grep -q -e --no-eval; then set -- "$@" --no-eval; fi\n'

_EXPORT = 'for name in $names; do eval "export $prefix$name=\\"\\$$name\\""; done\n'


# Head of a SIF: magic at byte 32, code of the architecture at 45, offset and size of its data at 112 (little-endian);
# https://github.com/apptainer/sif/blob/main/pkg/sif/sif.go (SIF 01). What Apptainer itself prints names no file.
_CHECK = """\
if [ -f "$image" ]; then
    again="Remove that file: the next run brings the image again."
    case $(od -An -c -j32 -N9 "$image" | tr -d ' \\n') in
        SIF_MAGIC) ;;
        *) fail 66 "$image is no SIF, or is damaged. $again" ;;
    esac
    size=$(wc -c <"$image")
    whole=$(od -An -tu8 -j112 -N16 "$image" | awk '{print $1 + $2}')
    [ "$size" -ge "$whole" ] || fail 66 "$image is incomplete: it has $size of $whole bytes. $again"
    case $(uname -m)/$(od -An -c -j45 -N2 "$image" | tr -d ' \\n') in
        x86_64/0[1345689] | x86_64/1[0-9]) wrong=1 ;;
        aarch64/0[1235689] | aarch64/1[0-9]) wrong=1 ;;
        *) wrong= ;;
    esac
    [ -z "$wrong" ] || fail 66 "$image is for another architecture than $(uname -m), that of $(uname -n). Name an" \
        "image for it, such as Image(..., platform='linux/amd64'), or ask for other nodes."
fi
echo "cnflow: $program starts $image on $(uname -n)" >&2
"""


class ApptainerRuntime(ContainerRuntime):
    """Runs images by Apptainer or Singularity, which need no rights and no service on a node."""

    noun: ClassVar[str] = "Apptainer"
    programs: ClassVar[tuple[str, ...]] = ("apptainer", "singularity")
    forms: ClassVar[tuple[ImageForm, ...]] = (ImageForm.SIF, ImageForm.FOLDER)

    kind: Literal["apptainer"] = "apptainer"
    clean_environment: bool = True
    """Variables of the node stay outside, but those of `passed_variables` (``--cleanenv``)."""

    writable: bool = True
    """The container can write anywhere, into the node's memory, which ends with it (``--writable-tmpfs``)."""

    overlay: str = ""
    """Path at the site of a folder or image over which the container writes, in place of the memory
    (``--overlay``). Two containers cannot write to one at a time."""

    def script(self, command: NodeCommand, image: SiteImage) -> str:
        """POSIX sh that ends in ``apptainer exec``."""
        binds = [f"--bind {_bind(each)}" for each in script.binds_of(self, command)]
        folder = ["--pwd", shlex.quote(self.working_dir)] if self.working_dir else []
        verb = "run" if self.entrypoint == "keep" else "exec"
        words = ['"$program"', verb, '"$@"', *binds, *folder, *map(shlex.quote, self.options), '"$image"']
        return "".join(
            (
                script.FAIL,
                script.find_program(self.program, self.programs, self.noun),
                _VERSION,
                script.find_image(image),
                _CHECK,
                script.shared_memory(self),
                script.variables(self, command),
                _EXPORT,
                script.SECRETS if self.secrets_folder else "",
                f"set -- {' '.join(self._options())}\n",
                _NO_EVAL,
                script.gpus(self, ["--nv"], ["--rocm"]),
                # The user's own packages in a home folder are for the node's Python.
                "export ${prefix}PYTHONNOUSERSITE=1\n" if self.home else "",
                script.start([*words, script.argv_of(self, command)], cleans_up=self.secrets_folder),
            )
        )

    def _options(self) -> list[str]:
        if self.writable and self.overlay:
            writing = ["--overlay", script.on_node(self.overlay)]
        else:
            writing = ["--writable-tmpfs"] if self.writable else []
        return [
            *(["--cleanenv"] if self.clean_environment else []),
            *(["--no-home"] if not self.home else []),
            *writing,
        ]


class SingularityRuntime(ApptainerRuntime):
    """The same with Singularity's program preferred, where a node has both."""

    noun: ClassVar[str] = "Singularity"
    programs: ClassVar[tuple[str, ...]] = ("singularity", "apptainer")

    kind: Literal["singularity"] = "singularity"  # type: ignore[assignment]  # a kind of its own


def _bind(bind: script.Bind) -> str:
    for path in (bind.source, bind.target):
        if "," in path or ":" in path:
            raise ConfigurationError(f"mounts: {path}: Apptainer takes no path that has a comma or a colon.")
    return f"{bind.source}:{bind.target}" + (":ro" if bind.is_read_only else "")
