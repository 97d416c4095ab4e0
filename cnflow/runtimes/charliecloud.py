"""Charliecloud. Pure.

Options: https://hpc.github.io/charliecloud/ch-run.html (ch-run 0.31 and newer).
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

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# ch-run gives the container all variables that it has itself. PATH is the image's, where that is known (below).
_UNSET = f"""\
export USER="${{USER:-$(id -un)}}"
for name in $(env | sed -n 's/^\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p'); do
    case " $names HOME USER LOGNAME TMPDIR PWD " in *" $name "*) ;; *) unset "$name" ;; esac
done
export PATH={_PATH}
"""

# The host's /tmp is seen in the container, and nothing can be mounted below it; the same holds for folders in others.
_SHOW = """\
seen="/tmp /dev /proc /sys"
show() { # SOURCE TARGET: make the mount point in the image's folder; 1 if the path is seen already
    if [ "$1" = "$2" ]; then
        for folder in $seen; do case $2/ in "$folder"/*) return 1 ;; esac; done
        seen="$seen $2"
    fi
    [ -e "$1" ] || fail 66 "$(uname -n) has no $1, which is to be mounted at $2."
    if [ -d "$1" ]; then mkdir -p "$image$2"; else mkdir -p "$image${2%/*}" && : >>"$image$2"; fi ||
        fail 73 "$image$2, to which something is mounted, cannot be made: unpack the image where you may write."
}
"""


class CharliecloudRuntime(ContainerRuntime):
    """Runs images by ``ch-run``, from folders. The image is read-only in the container; ``/tmp`` is the node's."""

    noun: ClassVar[str] = "Charliecloud"
    programs: ClassVar[tuple[str, ...]] = ("ch-run",)
    forms: ClassVar[tuple[ImageForm, ...]] = (ImageForm.FOLDER,)

    kind: Literal["charliecloud"] = "charliecloud"

    def script(self, command: NodeCommand, image: SiteImage) -> str:
        """POSIX sh that ends in ``ch-run``."""
        if self.entrypoint == "keep":
            raise ConfigurationError("Charliecloud does not know the ENTRYPOINT of an image: write it as a list.")
        words = ['"$program"', '"$@"', *map(shlex.quote, self.options), '"$image"', "--"]
        return "".join(
            (
                script.FAIL,
                script.find_program(self.program, self.programs, self.noun),
                script.find_image(image),
                script.shared_memory(self),
                script.gpus(self, [], []),  # all devices are seen; libraries are those of the image
                script.variables(self, command),
                _UNSET,
                "export PYTHONNOUSERSITE=1\n" if self.home else "",
                script.SECRETS if self.secrets_folder else "",
                "set --\n",
                _SHOW,
                'if show "$HOME" "$HOME"; then set -- "$@" -b "$HOME:$HOME"; fi\n' if self.home else "",
                *map(_bind, script.binds_of(self, command)),
                '[ ! -e "$image/ch/environment" ] || set -- "$@" --set-env\n',
                self._folder(),
                script.start([*words, script.argv_of(self, command)], cleans_up=self.secrets_folder),
            )
        )

    def _folder(self) -> str:
        if self.working_dir:
            return f'set -- "$@" --cd {shlex.quote(self.working_dir)}\n'
        return 'for folder in $seen; do case $PWD/ in "$folder"/*) set -- "$@" --cd "$PWD"; break ;; esac; done\n'


def _bind(bind: script.Bind) -> str:
    # ch-run has no read-only mounts; what it mounts has the rights of the node.
    return f'if show {bind.source} {bind.target}; then set -- "$@" -b {bind.source}:{bind.target}; fi\n'
