"""Makes what is sent to a Docker engine, from values alone: asks no engine and needs no SDK.

::

    BlockRequest ── node_command ──> NodeCommand ── create_arguments ──> docker create
                                          └── files ── files_archive ──> tar, unpacked at / of the container
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cnflow.capsule import CARRIED_PYTHON, PROBE_OPTIONS, Probe, runs_workers
from cnflow.capsule.survey import SURVEY_SCRIPT
from cnflow.config.mounts import targets_of
from cnflow.errors import BlockRejectedError, ConfigurationError
from cnflow.model.image_options import KEPT
from cnflow.model.visible_files import enclosing_folder
from cnflow.providers._shared.manager_command import manager_command
from cnflow.providers._shared.secrets import redact
from cnflow.providers.docker.users import ContainerUser
from cnflow.units import bytes_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.config import DockerProvider
    from cnflow.ids import RunId
    from cnflow.model.block import BlockRequest
    from cnflow.model.image import Image
    from cnflow.model.node_command import NodeCommand

DELIVERED = "/.cnflow"
"""Folder in the container for capsule and settings; at the top, where no image has a folder of this name."""

DELIVERED_ROOT = f"{DELIVERED}/capsule"
SETTINGS_FILE = f"{DELIVERED}/run/settings.json"

RUN_LABEL, BLOCK_LABEL, EXECUTOR_LABEL, IMAGE_LABEL = "cnflow.run", "cnflow.block", "cnflow.executor", "cnflow.image"

_FIXED = frozenset({"image", "command", "entrypoint", "init", "auto_remove", "remove", "detach", "name", "stop_signal"})

# Of no use to an interpreter that only prints its version, and slow or in conflict with ``network_mode="none"``.
_NOT_FOR_PROBE = frozenset(
    {
        *("network", "networking_config", "network_mode", "ports", "publish_all_ports", "links", "extra_hosts"),
        *("dns", "dns_opt", "dns_search", "mac_address", "hostname", "domainname", "tty", "stdin_open"),
    },
)


IMAGE_USER = ContainerUser()
UNSEEN = Probe(version="", implementation="", machine="", libc="", executable="")
"""Stands for the probe of an image that was not looked at yet."""


def node_command(request: BlockRequest, probe: Probe, root: str, *, carries_python: bool = False) -> NodeCommand:
    """Return the command of a block's container.

    Args:
        request: for the block; if it has a command, this runs instead of a manager.
        probe: of the image's interpreter.
        root: folder in the container that will hold the capsule.
        carries_python: the capsule holds the interpreter that runs the manager.
    """
    if request.command is not None:
        return request.command
    python, manager = probe.executable or "python3", request.manager
    if carries_python:
        python = f"{root}/{CARRIED_PYTHON}"
        if runs_workers(probe):
            manager = manager.with_worker_python(probe.executable, probe.version)
    command = manager_command(manager, python=python, root=root, settings_file=SETTINGS_FILE)
    return replace(command, environment={"PYTHONUSERBASE": probe.user_base}) if probe.user_base else command


def labels_of(run: RunId, executor: str) -> list[str]:
    """Return the labels, as a filter has them, of all containers of one executor."""
    return [f"{RUN_LABEL}={run}", f"{EXECUTOR_LABEL}={executor}"]


def create_arguments(
    request: BlockRequest,
    settings: DockerProvider,
    command: NodeCommand,
    *,
    user: ContainerUser = IMAGE_USER,
    image_id: str = "",
) -> dict[str, Any]:
    """Return the arguments of ``docker.DockerClient.containers.create`` for one block.

    They hold no key: the manager's settings are delivered as a file (`files_archive`).

    Args:
        request: for the block.
        settings: what the user wrote; its ``create`` is laid over everything that cnflow does not depend on.
        command: run in the container.
        user: who runs it.
        image_id: resolved from the image's name, so that all blocks of a run have the same image.

    Raises:
        ConfigurationError: `settings` contradict themselves or what cnflow needs.
    """
    ours: dict[str, Any] = {
        "image": image_id or request.image.reference,
        "name": request.name,
        **entrypoint_options(request.image, command.argv),
        "labels": {
            RUN_LABEL: request.run,
            EXECUTOR_LABEL: request.executor,
            BLOCK_LABEL: request.block,
            IMAGE_LABEL: request.image.name,
        },
        "environment": {**_shares(settings), **settings.environment, **command.environment},
        "init": True,
        "auto_remove": True,
        "stop_signal": "SIGTERM",
        # An image's health check is for a service of its own, which does not run here.
        "healthcheck": {"test": ["NONE"]},
        **_limits(settings),
        **_surroundings(settings, user),
        **_folders(request, settings, command, user),
    }
    return with_room_for_files(_overlaid(ours, settings.create))


def refuse_unfit(image: Image, nodes: int, settings: DockerProvider) -> None:
    """Refuse what no Docker engine could run.

    Raises:
        BlockRejectedError: the bare node, several nodes, or no network is asked for.
        ConfigurationError: see `create_arguments`.
    """
    _overlaid(_limits(settings), settings.create)
    if not image:
        raise BlockRejectedError(
            "DockerProvider runs images and was asked for the bare node. Give the executor or the app an image=, "
            "or use LocalProvider.",
        )
    if nodes != 1:
        raise BlockRejectedError(f"nodes_per_block={nodes}: a block of DockerProvider is one container.")
    if settings.network == "none":
        raise BlockRejectedError("DockerProvider(network='none') leaves a worker no way to be reached. Use a network.")


def refuse_hidden_python(executable: str, mounted: Sequence[str]) -> None:
    """Refuse folders of the script that would hide the image's interpreter.

    Raises:
        BlockRejectedError: names both.
    """
    if hiding := enclosing_folder(executable, mounted):
        raise BlockRejectedError(
            f"{hiding}, the folder of the script or of its run, is mounted into containers, and would hide the image's "
            f"Python, {executable}. Run the script in another folder, or set DockerProvider(mount_folders=False)."
        )


def with_room_for_files(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return *arguments* with what a container with a read-only root needs: room for our files, and for temporary ones.

    Raises:
        ConfigurationError: our files would be hidden when the container starts.
    """
    taken = targets_of({}, arguments)
    if DELIVERED in tmpfs_of(arguments):
        raise ConfigurationError(
            f"DockerProvider: create: the tmpfs at {DELIVERED} would hide what cnflow puts there before the container "
            "starts. Leave it out: a volume is made there if the root is read-only."
        )
    if not arguments.get("read_only"):
        return arguments
    mounts = list(arguments.get("mounts") or ())
    if DELIVERED not in taken:  # anonymous: the engine removes it with the container
        mounts.append({"Type": "volume", "Source": "", "Target": DELIVERED, "ReadOnly": False})
    tmpfs = {} if {"/tmp", "/"} & taken.keys() else {"tmpfs": {**tmpfs_of(arguments), "/tmp": "exec,mode=1777"}}  # noqa: S108
    return {**arguments, "mounts": mounts, **tmpfs}


def tmpfs_of(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the file systems in memory among *arguments*, in the one form of the two that names their options."""
    tmpfs = arguments.get("tmpfs") or {}
    if isinstance(tmpfs, Mapping):
        return {str(path): str(options) for path, options in tmpfs.items()}
    lines = (str(line).partition(":") for line in tmpfs)
    return {path: options for path, _, options in lines}


def preview_of(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return *arguments* without the values of secret variables, to be shown to the user."""
    environment = arguments["environment"]
    if isinstance(environment, Mapping):
        return {**arguments, "environment": redact(environment)}
    pairs = (str(line).partition("=") for line in environment)  # the other form that the SDK takes
    shown = [f"{name}{sign}{redact({name: value})[name]}" for name, sign, value in pairs]
    return {**arguments, "environment": shown}


def probe_arguments(
    image_id: str,
    python: str,
    settings: DockerProvider,
    user: ContainerUser = IMAGE_USER,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the arguments of ``docker.DockerClient.containers.create`` that run the probe of interpreter *python*.

    The probe has what a block would have (user, mounts, variables), but no network, and no init process: with one, an
    engine would not report by itself that *python* does not exist.
    """
    ours: dict[str, Any] = {
        "image": image_id,
        "entrypoint": [python],
        "command": probe_options(),
        "labels": {"cnflow.probe": image_id},
        "environment": {**settings.environment, **variables},
        "auto_remove": True,
        "healthcheck": {"test": ["NONE"]},
        **{name: value for name, value in _surroundings(settings, user).items() if name not in _NOT_FOR_PROBE},
        **_mounts(settings.mounts),
        "network_mode": "none",
    }
    return _overlaid(ours, {name: value for name, value in settings.create.items() if name not in _NOT_FOR_PROBE})


def probe_options() -> list[str]:
    """Return the options with which an interpreter reports what it is, and what else is in its image."""
    return [*PROBE_OPTIONS[:-1], PROBE_OPTIONS[-1] + SURVEY_SCRIPT]


def files_archive(files: Mapping[str, bytes], probe: Probe, root: str = "/", *, is_mounted: bool = False) -> bytes:
    """Return a tar to unpack at *root*: the folders of `DELIVERED`, and *files*, readable by the manager's user alone.

    Each file's folder belongs to that user too, so that the manager can remove the file once it is read.

    Args:
        files: content by absolute path.
        probe: of the manager's interpreter.
        root: ``/``, or `DELIVERED` where that is a volume.
        is_mounted: the capsule's folder is a mount, which cannot be written to.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in (DELIVERED,) if is_mounted else (DELIVERED, DELIVERED_ROOT):
            if name != root:
                tar.addfile(_member(name, root, 0o755, tarfile.DIRTYPE))
        for folder in dict.fromkeys(name.rpartition("/")[0] for name in files):
            tar.addfile(_set_owner(_member(folder, root, 0o700, tarfile.DIRTYPE), probe))
        for name, content in files.items():
            file = _set_owner(_member(name, root, 0o600, tarfile.REGTYPE), probe)
            file.size = len(content)
            tar.addfile(file, io.BytesIO(content))
    # Without what fills the last record after the end mark: Podman stops reading there, and may call the rest an error.
    return archive.getvalue()[: tar.offset]


def entrypoint_options(image: Image, argv: Sequence[str]) -> dict[str, list[str]]:
    """Return the options that make a container of *image* run *argv*, directly or by an entrypoint that it keeps."""
    if image.entrypoint == KEPT:
        return {"command": list(argv)}
    if isinstance(image.entrypoint, tuple):
        return {"entrypoint": list(image.entrypoint), "command": list(argv)}
    return {"entrypoint": [argv[0]], "command": list(argv[1:])}


def _shares(settings: DockerProvider) -> dict[str, str]:
    """Return the container's limits as variables for the manager: inside, Python sees the engine's whole machine."""
    shares = {}
    if settings.cpus is not None:
        shares["CNFLOW_CORES"] = f"{settings.cpus:g}"
    if settings.memory is not None:
        shares["CNFLOW_MEMORY"] = str(bytes_in(settings.memory))
    return shares


def _limits(settings: DockerProvider) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if settings.cpus is not None:
        limits["nano_cpus"] = int(settings.cpus * 1e9)
    if settings.memory is not None:
        limits["mem_limit"] = bytes_in(settings.memory)
        # Without this an engine grants as much swap again, and the container slows down instead of being killed.
        limits["memswap_limit"] = limits["mem_limit"]
    if settings.gpus is not None:
        limits["device_requests"] = [_gpus(settings.gpus)]
    return limits


def _gpus(wanted: int | Sequence[str]) -> dict[str, Any]:
    which = {"count": wanted} if isinstance(wanted, int) else {"device_ids": list(wanted)}
    return {**which, "capabilities": [["gpu"]]}


def _surroundings(settings: DockerProvider, user: ContainerUser) -> dict[str, Any]:
    network = {} if settings.network is None else {"network": settings.network}
    named = {} if settings.user is None else {"user": settings.user}
    return {**network, **named, **user.options()}


def _folders(
    request: BlockRequest, settings: DockerProvider, command: NodeCommand, user: ContainerUser
) -> dict[str, Any]:
    """Return the mounts of a block, and the folder in which it starts: the script's, if it is mounted."""
    own = settings.folders_to_mount(request.shared_folders)
    mounts = {**{folder: folder for folder in own}, **command.mounts, **settings.mounts}
    starts_there = request.folder and user.can_enter and enclosing_folder(request.folder, own)
    return {**_mounts(mounts), **({"working_dir": request.folder} if starts_there else {})}


def _mounts(mounts: Mapping[str, str]) -> dict[str, Any]:
    return {"mounts": [mount_of(source, target) for source, target in mounts.items()]} if mounts else {}


def mount_of(source: str, target: str) -> dict[str, Any]:
    """Return a mount that fails if the path does not exist; for the older ``volumes`` an engine makes a folder."""
    return {
        "Type": "bind" if source.startswith(("/", "\\")) or source[1:2] == ":" else "volume",
        "Source": source,
        "Target": target.removesuffix(":ro").removesuffix(":rw"),
        "ReadOnly": target.endswith(":ro"),
    }


def _overlaid(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    taken = sorted(_FIXED & theirs.keys())
    if taken:
        raise ConfigurationError(
            f"DockerProvider: create: {taken[0]!r} may not be set, cnflow sets it itself, as it does: "
            f"{', '.join(sorted(_FIXED - set(taken)))}.",
        )
    return {**ours, **{name: _join(name, ours.get(name), value) for name, value in theirs.items()}}


def _join(name: str, ours: object, theirs: object) -> object:
    """Merge labels, variables and mounts; of every other option take the user's value."""
    if isinstance(ours, dict) and isinstance(theirs, Mapping) and name in {"labels", "environment"}:
        return {**theirs, **ours} if name == "labels" else {**ours, **theirs}
    if isinstance(ours, list) and isinstance(theirs, list) and name == "mounts":
        return [*ours, *theirs]
    return theirs


def _member(path: str, root: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path.removeprefix(root).lstrip("/"))
    member.type, member.mode = kind, mode
    return member


def _set_owner(member: tarfile.TarInfo, probe: Probe) -> tarfile.TarInfo:
    member.uid, member.gid = probe.uid, probe.gid
    return member
