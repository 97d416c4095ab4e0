"""Parts of the scripts with which runtimes start containers: POSIX sh, made from values alone.

::

    find_program ── $program, or exit 127 with what to do
    find_image ──── the image is on this node, or exit 66
    variables ───── $names: variables of this node that enter the container
    ... the runtime's own part builds the options in "$@" ...
    exec "$program" "$@" IMAGE COMMAND

A script may hold the name of a secret variable, never its value: command lines are seen by all users of a node.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import ConfigurationError
from cnflow.model.image_parts import SECRETS_FOLDER
from cnflow.model.site_image import NODE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.config.runtimes import ContainerRuntime
    from cnflow.model.node_command import NodeCommand
    from cnflow.model.site_image import SiteImage

PASSED = (
    "CNFLOW_*",
    *("SLURM_*", "SLURMD_*", "PBS_*", "LSB_*", "LS_*", "SGE_*", "COBALT_*", "_CONDOR_*"),
    *("JOB_ID", "NSLOTS", "NHOSTS", "NQUEUES", "PE_HOSTFILE"),  # of Grid Engine
    *("PMI_*", "PMI2_*", "PMIX_*", "OMPI_*", "MPI_*", "MPICH_*", "PALS_*", "ALPS_*", "JSM_*", "PARALLEL_SEQ"),
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
    *("GPU_DEVICE_ORDINAL", "ZE_AFFINITY_MASK", "OMP_*"),
    *("LANG", "LC_*", "TZ", "TERM", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
"""Variables of a node that mean the same in a container: those of schedulers and launchers, of GPUs, of languages."""

FAIL = 'fail() { code=$1; shift; echo "cnflow: $*" >&2; exit "$code"; }\n'
NO_PROGRAM, NO_IMAGE, NO_GPU, NO_MEMORY = 127, 66, 69, 71
"""Exit codes of a script that starts no container. The first is a shell's own, the others are those of sysexits(3)."""


class Bind(NamedTuple):
    """A path of the node that is seen in a container."""

    source: str
    """POSIX sh in double quotes."""

    target: str
    """POSIX sh in double quotes, or without where it needs none."""

    is_read_only: bool
    is_same: bool
    """Source and target are one path."""


def on_node(path: str) -> str:
    """Return *path* in double quotes; ``~`` at its start, ``$NAME`` and ``${NAME}`` are left to the node's shell."""
    home, rest = ('"$HOME"', path[1:]) if path == "~" or path.startswith("~/") else ("", path)
    parts = re.split(r"(\$\{\w+\}|\$[A-Za-z_]\w*)", rest)
    quoted = "".join(part if place % 2 else re.sub(r'([\\"`$])', r"\\\1", part) for place, part in enumerate(parts))
    return f'{home}"{quoted}"' if quoted or not home else home


def find_program(program: str, names: Sequence[str], noun: str) -> str:
    """Return the part that sets ``$program`` to the path of the program."""
    listed = on_node(program) if program else " ".join(names)
    shown = program or " or ".join(names)
    return (
        "program=\n"
        f'for name in {listed}; do program=$(command -v "$name" 2>/dev/null) && break; done\n'
        f'[ -n "$program" ] || fail {NO_PROGRAM} "$(uname -n) has no {shown}, and so cannot start a container of '
        f'{noun}. Load its module in worker_init, or set the path of its program."\n'
    )


def find_image(image: SiteImage) -> str:
    """Return the part that sees that the node has the file or folder of *image*, and sets ``$image``."""
    name = shlex.quote(image.reference)
    return (
        f"image=${{{NODE_IMAGE}:-{shlex.quote(image.path)}}}\n"
        f'[ -r "$image" ] || fail {NO_IMAGE} "$(uname -n) has no $image, which is the image" {name}". Set '
        'image_cache_dir to a folder on a file system that login node and nodes share."\n'
    )


def variables(runtime: ContainerRuntime, command: NodeCommand) -> str:
    """Return the part that sets ``$names`` to the names of the node's variables that enter the container."""
    own = [*runtime.environment, *command.environment]
    for name in own:
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise ConfigurationError(f"environment: {name!r} is no name of a variable that a shell could pass on.")
    patterns = "|".join(dict.fromkeys([*PASSED, *map(_pattern, runtime.passed_variables), *own]))
    return (
        "names=\n"
        r"for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do" + "\n"
        f'    case $name in {patterns}) names="$names $name" ;; esac\n'
        "done\n"
    )


def _pattern(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_*?][\w*?]*", name, re.ASCII):
        raise ConfigurationError(
            f"passed_variables: {name!r} is no name of a variable; * and ? stand for more of them."
        )
    return name


def binds_of(runtime: ContainerRuntime, command: NodeCommand) -> list[Bind]:
    """Return what is mounted: the paths of *command*, then those of the user, then the folder of secrets."""
    named = [*_binds(command.mounts), *_binds(runtime.mounts)]
    secrets = [Bind('"$secrets"', SECRETS_FOLDER, is_read_only=False, is_same=False)] if runtime.secrets_folder else []
    return [*named, *secrets]


def _binds(mounts: Mapping[str, str]) -> Iterable[Bind]:
    for source, written in mounts.items():
        target = re.sub(r":r[ow]$", "", written)
        is_same = source == target
        yield Bind(on_node(source), on_node(target), is_read_only=written.endswith(":ro"), is_same=is_same)


def gpus(runtime: ContainerRuntime, nvidia: Sequence[str], amd: Sequence[str]) -> str:
    """Return the part that adds options to ``"$@"`` for the GPUs that the node has."""
    wanted = [
        ("nvidia", "/dev/nvidiactl", "NVIDIA", nvidia),
        ("amd", "/dev/kfd", "AMD", amd),
    ]
    lines = []
    for maker, device, name, options in wanted:
        if runtime.gpus == maker:
            lines.append(
                f'[ -e {device} ] || fail {NO_GPU} "$(uname -n) has no GPU of {name} that this job may use. Ask the '
                'scheduler for one, or leave gpus out."\n'
            )
        if runtime.gpus in {maker, "auto"} and options:
            lines.append(f'[ ! -e {device} ] || set -- "$@" {shlex.join(options)}\n')
    return "".join(lines)


def shared_memory(runtime: ContainerRuntime) -> str:
    """Return the part that sees that the node's ``/dev/shm``, which the container shares, is large enough."""
    if runtime.shared_memory is None:
        return ""
    wanted = -(-runtime.shared_memory // 1024)
    return (
        "room=$(df -Pk /dev/shm | awk 'NR == 2 {print $4}')\n"
        f'[ "${{room:-0}}" -ge {wanted} ] || fail {NO_MEMORY} "$(uname -n) has ${{room:-0}} KiB free in /dev/shm, and '
        f'the image asks for shared_memory of {wanted} KiB. Ask the scheduler for more memory, or for less of it."\n'
    )


SECRETS = 'secrets=$(mktemp -d /dev/shm/cnflow.XXXXXX) || fail 73 "$(uname -n) has no room for secrets in /dev/shm."\n'
"""Makes the folder in memory that becomes `SECRETS_FOLDER`."""


def start(words: Sequence[str], *, cleans_up: bool = False) -> str:
    """Return the last part: the container, whose command *words* are POSIX sh already.

    Args:
        words: of the command line.
        cleans_up: a folder of secrets is removed after the end, so that the shell stays.
    """
    line = " ".join(words)
    if not cleans_up:
        return f"exec {line}\n"
    return (
        f"{line} &\n"
        "child=$!\n"
        "trap 'kill -TERM \"$child\" 2>/dev/null' TERM INT HUP\n"
        'wait "$child"; code=$?\n'
        'while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done\n'
        'rm -rf "$secrets"\n'
        'exit "$code"\n'
    )


def argv_of(runtime: ContainerRuntime, command: NodeCommand) -> str:
    """Return the command in the container, with the user's entrypoint before it, quoted."""
    before = runtime.entrypoint if isinstance(runtime.entrypoint, list) else []
    return shlex.join([*before, *command.argv])
