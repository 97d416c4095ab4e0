"""Podman, podman-hpc and Docker by their programs. Pure.

Options: https://docs.podman.io/en/v5.6.0/markdown/podman-run.1.html, https://docs.docker.com/reference/cli/docker/container/run/
(Docker 28), https://docs.nersc.gov/development/containers/podman-hpc/overview/ (podman-hpc 1.1).
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from cnflow.config.runtimes import ContainerRuntime
from cnflow.errors import ConfigurationError
from cnflow.model.image_parts import SECRETS_FOLDER
from cnflow.model.site_image import ImageForm
from cnflow.runtimes import script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.model.image import Image
    from cnflow.model.image_parts import Mount
    from cnflow.model.node_command import NodeCommand
    from cnflow.model.site_image import SiteImage


class EngineRuntime(ContainerRuntime):
    """Options of the runtimes that keep images in a storage of their own on each node."""

    user: str = ""
    """User, or ``uid:gid``, in the container; empty is the one whose files are those of the job's user."""

    network: str = "host"
    """Network of the container; ``host`` is that of the node, by which it reaches the driver."""

    def _engine_options(self, image: Image) -> dict[str, list[str]]:
        """Options of ``run`` for what engines alone have."""
        options: dict[str, list[str]] = {"mounts": [_extra_mount(each) for each in image.mounts if each.kind != "bind"]}
        if image.user:
            options["user"] = [f"--user={image.user}"]
        if image.pids is not None:
            options["pids"] = [f"--pids-limit={image.pids}"]
        if image.network:
            options["network"] = [f"--network={image.network}"]
        if image.ulimits:
            options["ulimits"] = [f"--ulimit={name}={soft}:{hard}" for name, (soft, hard) in image.ulimits.items()]
        if image.shared_memory is not None:
            options["shared_memory"] = ["--ipc=private", f"--shm-size={image.shared_memory}"]
        if image.cpus is not None:
            options["cpus"] = [f"--cpus={image.cpus:g}"]
        if image.memory is not None:
            options["memory"] = [f"--memory={image.memory}", f"--memory-swap={image.memory}"]
        if isinstance(image.gpus, tuple):
            options["gpus"] = self._devices(image.gpus)
        return options

    def _devices(self, gpus: Sequence[str]) -> list[str]:
        return [f"--device=nvidia.com/gpu={each}" for each in gpus]

    def _own_options(self) -> list[str]:
        """Options, in POSIX sh, that only this engine has."""
        return []

    def _gpus(self) -> str:
        return script.gpus(self, ["--device=nvidia.com/gpu=all"], ["--device=/dev/kfd", "--device=/dev/dri"])

    def _user(self) -> str:
        """User in the container, in POSIX sh."""
        return shlex.quote(self.user) if self.user else self._own_user

    _own_user: ClassVar[str] = "0:0"

    def script(self, command: NodeCommand, image: SiteImage) -> str:
        """POSIX sh that ends in ``podman run``, or that of another engine."""
        if self.network == "none":
            raise ConfigurationError(f"network='none' leaves a worker in {self.noun} no way to be reached.")
        argv = [*(self.entrypoint if isinstance(self.entrypoint, list) else ()), *command.argv]
        kept = self.entrypoint == "keep"
        words = [
            '"$program" run --rm --init --name "$container" --security-opt label=disable',
            f"--network={shlex.quote(self.network)}",
            *(["--ipc=host"] if self.shared_memory is None else [f"--shm-size={self.shared_memory}"]),
            f"--user={self._user()}",
            *self._own_options(),
            '"$@"',
            *(f"--mount={_mount(each)}" for each in script.binds_of(_without_secrets(self), command)),
            *([f"--mount=type=tmpfs,destination={SECRETS_FOLDER},tmpfs-mode=1777"] if self.secrets_folder else []),
            *([] if kept else [f"--entrypoint={shlex.quote(argv[0])}"]),
            *map(shlex.quote, self.options),
            '"$image"' if image.form is not ImageForm.FOLDER else '--rootfs "$image"',
            shlex.join(argv if kept else argv[1:]),
        ]
        return "".join(
            (
                script.FAIL,
                script.find_program(self.program, self.programs, self.noun),
                self._image(image),
                script.variables(self, command),
                "set --\n",
                self._gpus(),
                'for name in $names; do set -- "$@" --env "$name"; done\n',
                _HOME if self.home else "",
                self._folder(command),
                _GUARD,
                script.start(words),
            )
        )

    def _folder(self, command: NodeCommand) -> str:
        if self.working_dir:
            return f'set -- "$@" --workdir {shlex.quote(self.working_dir)}\n'
        same = [each.source for each in script.binds_of(_without_secrets(self), command) if each.is_same]
        seen = " ".join([*same, *(['"$HOME"'] if self.home else [])])
        if not seen:
            return ""
        return (
            f'for folder in {seen}; do case $PWD/ in "$folder"/*) set -- "$@" --workdir "$PWD"; break ;; esac; done\n'
        )

    def _image(self, image: SiteImage) -> str:
        """Part that sets ``$image`` to what ``run`` takes."""
        if image.form is ImageForm.REFERENCE:
            return f"image={shlex.quote(image.reference.removeprefix('docker://'))}\n"
        if image.form is ImageForm.FOLDER:
            return script.find_image(image)
        return script.find_image(image) + _LOAD.replace("NAME", shlex.quote(_own_name(image)))


# An archive is loaded once: a name of its own, by its digest, shows that the node has it.
_LOAD = """\
name=NAME
if ! "$program" image inspect "$name" >/dev/null 2>&1; then
    loaded=$("$program" load -i "$image" 2>&1) || fail 66 "$image cannot be loaded: $loaded"
    loaded=$(printf '%s\\n' "$loaded" | sed -n 's/^Loaded image[^:]*: *//p' | tail -n 1)
    "$program" tag "${loaded%%,*}" "$name" || fail 66 "$image cannot be loaded: it has no image that could be named."
fi
image=$name
"""

_HOME = """\
if [ -d "$HOME" ]; then
    set -- "$@" --mount "type=bind,source=$HOME,target=$HOME" --env HOME --env PYTHONNOUSERSITE=1
fi
"""


# A container is no child of its job: it lives on if the program is killed. A scheduler that cancels a job signals all
# of its processes, also those by which the program would pass the signal on.
_GUARD = """\
container=cnflow-$(uname -n)-$$
(
    exec </dev/null >/dev/null 2>&1 # whoever reads the output of the job waits for no guard
    ending=
    trap 'ending=1' TERM INT HUP
    while [ -z "$ending" ] && kill -0 $$; do sleep 1 & wait $!; done
    "$program" stop -t 10 "$container"
    "$program" rm -f "$container"
) &
"""


class PodmanRuntime(EngineRuntime):
    """Runs images by Podman, which needs no service.

    Where it runs without rights, root in the container is the job's user.
    """

    noun: ClassVar[str] = "Podman"
    programs: ClassVar[tuple[str, ...]] = ("podman",)
    forms: ClassVar[tuple[ImageForm, ...]] = (ImageForm.ARCHIVE, ImageForm.FOLDER, ImageForm.REFERENCE)

    kind: Literal["podman"] = "podman"


class PodmanHPCRuntime(EngineRuntime):
    """Runs images by podman-hpc, which shares images between nodes once they are migrated."""

    noun: ClassVar[str] = "podman-hpc"
    programs: ClassVar[tuple[str, ...]] = ("podman-hpc",)
    forms: ClassVar[tuple[ImageForm, ...]] = (ImageForm.REFERENCE,)

    kind: Literal["podman_hpc"] = "podman_hpc"
    modules: list[str] = Field(default_factory=list)
    """Modules of the site, which are options of the program, such as ``mpi``, ``cuda-mpi`` or ``nccl``."""

    def _gpus(self) -> str:
        return script.gpus(self, ["--gpu"], ["--device=/dev/kfd", "--device=/dev/dri"])

    def _own_options(self) -> list[str]:
        return [shlex.quote(f"--{name}") for name in self.modules]


class DockerRuntime(EngineRuntime):
    """Runs images by Docker's program, for nodes that have an engine which their users may use."""

    noun: ClassVar[str] = "Docker"
    programs: ClassVar[tuple[str, ...]] = ("docker",)
    forms: ClassVar[tuple[ImageForm, ...]] = (ImageForm.ARCHIVE, ImageForm.REFERENCE)
    _own_user: ClassVar[str] = '"$(id -u):$(id -g)"'

    kind: Literal["docker"] = "docker"

    def _gpus(self) -> str:
        return script.gpus(self, ["--gpus=all"], ["--device=/dev/kfd", "--device=/dev/dri"])

    def _devices(self, gpus: Sequence[str]) -> list[str]:
        return [f'--gpus="device={",".join(gpus)}"']


def _own_name(image: SiteImage) -> str:
    content = image.digest.rpartition(":")[2] or image.path.rpartition("/")[2]
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in content.lower())
    return f"localhost/cnflow-site:{kept.lstrip('.-')[:120]}"


def _without_secrets(runtime: EngineRuntime) -> EngineRuntime:
    """Return *runtime* without the folder of secrets, which an engine makes itself."""
    return runtime.model_copy(update={"secrets_folder": False})


def _mount(bind: script.Bind) -> str:
    for path in (bind.source, bind.target):
        if "," in path:
            raise ConfigurationError(f"mounts: {path}: a path that has a comma cannot be mounted.")
    return f"type=bind,source={bind.source},target={bind.target}" + (",readonly" if bind.is_read_only else "")


def _extra_mount(mount: Mount) -> str:
    source = f"source={mount.source}," if mount.source else ""
    size = f",tmpfs-size={mount.size}" if mount.size is not None else ""
    read_only = ",readonly" if mount.read_only else ""
    return f"--mount=type={mount.kind},{source}target={mount.target}{size}{read_only}"
