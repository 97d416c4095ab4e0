"""What is sent to a Docker engine, made from values alone: nothing here asks an engine, or needs its SDK."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnflow.capsule import PROBE_OPTIONS
from cnflow.errors import BlockRejectedError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.capsule import Probe
    from cnflow.config import DockerProvider
    from cnflow.model.block import BlockRequest

DELIVERED = "/.cnflow"
"""Folder in the container for what cnflow brings along; at the top, where no image has anything of that name."""

DELIVERED_ROOT = f"{DELIVERED}/capsule"
SETTINGS_FILE = f"{DELIVERED}/run/settings.json"

RUN_LABEL, BLOCK_LABEL, EXECUTOR_LABEL, IMAGE_LABEL = "cnflow.run", "cnflow.block", "cnflow.executor", "cnflow.image"

_FIXED = frozenset({"image", "command", "entrypoint", "init", "auto_remove", "remove", "detach", "name", "stop_signal"})

# Of no use to an interpreter that only tells of itself, and slow or in conflict with ``network_mode="none"``.
_NOT_FOR_PROBE = frozenset(
    {
        *("network", "networking_config", "network_mode", "ports", "publish_all_ports", "links", "extra_hosts"),
        *("dns", "dns_opt", "dns_search", "mac_address", "hostname", "domainname", "tty", "stdin_open"),
    },
)

_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def create_arguments(
    request: BlockRequest,
    settings: DockerProvider,
    probe: Probe,
    *,
    image_id: str = "",
    root: str = DELIVERED_ROOT,
) -> dict[str, Any]:
    """Arguments of ``docker.DockerClient.containers.create`` for one block.

    They hold no key: the manager's settings are delivered as a file (`settings_archive`).

    Args:
        request: the block.
        settings: what the user wrote; its ``create`` is laid over all that cnflow does not depend on.
        probe: the image's interpreter.
        image_id: what the image's name was resolved to, so that all blocks of a run have the same.
        root: folder in the container that will hold the capsule.

    Raises:
        ConfigurationError: `settings` contradict themselves or what cnflow needs.
    """
    ours: dict[str, Any] = {
        "image": image_id or request.image,
        "name": container_name(request),
        "entrypoint": [probe.executable or "python3"],
        "command": ["-I", f"{root}/cnflow/manager/__main__.py", SETTINGS_FILE],
        "labels": {
            RUN_LABEL: request.run,
            EXECUTOR_LABEL: request.executor,
            BLOCK_LABEL: request.block,
            IMAGE_LABEL: request.image,
        },
        "environment": {**_shares(settings), **settings.environment},
        "init": True,
        "auto_remove": True,
        "stop_signal": "SIGTERM",
        # An image's check of its own service would only disturb: that service is not what runs here.
        "healthcheck": {"test": ["NONE"]},
        **_limits(settings),
        **_place(settings),
    }
    return _overlaid(ours, settings.create)


def probe_arguments(image_id: str, python: str, settings: DockerProvider) -> dict[str, Any]:
    """Arguments of ``docker.DockerClient.containers.create`` for a look at an image's interpreter *python*.

    It sees what a block would see (user, mounts, variables), but no network, and no init process: with one, an engine
    would not say itself that *python* is not there.
    """
    ours: dict[str, Any] = {
        "image": image_id,
        "entrypoint": [python],
        "command": list(PROBE_OPTIONS),
        "labels": {"cnflow.probe": image_id},
        "environment": dict(settings.environment),
        "auto_remove": True,
        "healthcheck": {"test": ["NONE"]},
        **{name: value for name, value in _place(settings).items() if name not in _NOT_FOR_PROBE},
        "network_mode": "none",
    }
    return _overlaid(ours, {name: value for name, value in settings.create.items() if name not in _NOT_FOR_PROBE})


def settings_archive(content: bytes, probe: Probe) -> bytes:
    """A tar to unpack at ``/``: the folders of `DELIVERED`, and the settings file, for the manager's user alone.

    The file's folder is that user's too, so that the manager can remove the file once it is read.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in (DELIVERED, DELIVERED_ROOT):
            tar.addfile(_member(name, 0o755, tarfile.DIRTYPE))
        tar.addfile(_owned(_member(SETTINGS_FILE.rpartition("/")[0], 0o700, tarfile.DIRTYPE), probe))
        file = _owned(_member(SETTINGS_FILE, 0o600, tarfile.REGTYPE), probe)
        file.size = len(content)
        tar.addfile(file, io.BytesIO(content))
    return archive.getvalue()


def container_name(request: BlockRequest) -> str:
    """What ``docker ps`` shows; only characters that engines take in a name."""
    wanted = f"cnflow-{request.run}-{request.executor}-{request.block}"
    return re.sub(r"[^a-zA-Z0-9_.-]+", "-", wanted)


def bytes_of(memory: str | int) -> int:
    """Bytes of ``DockerProvider.memory``: ``4g``, ``512m``, ``1.5G``, or bytes as they are.

    Raises:
        ConfigurationError: *memory* is none of these.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *([kmgt]?)i?b?", str(memory).strip().lower())
    if not found:
        raise ConfigurationError(f"DockerProvider: memory: write bytes or e.g. '4g' or '512m', not {memory!r}")
    return int(float(found[1]) * _UNITS[found[2]])


def _shares(settings: DockerProvider) -> dict[str, str]:
    """What the container may use, for the manager: inside, Python sees the engine's whole machine."""
    shares = {}
    if settings.cpus is not None:
        shares["CNFLOW_CORES"] = f"{settings.cpus:g}"
    if settings.memory is not None:
        shares["CNFLOW_MEMORY"] = str(bytes_of(settings.memory))
    return shares


def _limits(settings: DockerProvider) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if settings.cpus is not None:
        limits["nano_cpus"] = int(settings.cpus * 1e9)
    if settings.memory is not None:
        limits["mem_limit"] = bytes_of(settings.memory)
        # Without this an engine grants as much swap again, and a container grows slow where it is to be killed.
        limits["memswap_limit"] = limits["mem_limit"]
    if settings.gpus is not None:
        limits["device_requests"] = [_gpus(settings.gpus)]
    return limits


def _gpus(wanted: int | Sequence[str]) -> dict[str, Any]:
    which = {"count": wanted} if isinstance(wanted, int) else {"device_ids": list(wanted)}
    return {**which, "capabilities": [["gpu"]]}


def _place(settings: DockerProvider) -> dict[str, Any]:
    place: dict[str, Any] = {}
    if settings.network is not None:
        place["network"] = settings.network
    if settings.user is not None:
        place["user"] = settings.user
    if settings.mounts:
        place["mounts"] = [_mount(source, target) for source, target in settings.mounts.items()]
    return place


def _mount(source: str, target: str) -> dict[str, Any]:
    """A mount that fails where a path is not there; with the older ``volumes`` an engine makes an empty folder."""
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
            f"DockerProvider: create: {taken[0]!r} may not be set, cnflow sets it itself. The others of its own are: "
            f"{', '.join(sorted(_FIXED - set(taken)))}.",
        )
    return {**ours, **{name: _joined(name, ours.get(name), value) for name, value in theirs.items()}}


def _joined(name: str, ours: object, theirs: object) -> object:
    """Labels, variables and mounts of both; of all else the user's."""
    if isinstance(ours, dict) and isinstance(theirs, Mapping) and name in {"labels", "environment"}:
        return {**theirs, **ours} if name == "labels" else {**ours, **theirs}
    if isinstance(ours, list) and isinstance(theirs, list) and name == "mounts":
        return [*ours, *theirs]
    return theirs


def _member(path: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path.lstrip("/"))
    member.type, member.mode = kind, mode
    return member


def _owned(member: tarfile.TarInfo, probe: Probe) -> tarfile.TarInfo:
    member.uid, member.gid = probe.uid, probe.gid
    return member


def refuse(image: str, settings: DockerProvider) -> None:
    """See that a Docker engine could run what is asked for at all.

    Raises:
        BlockRejectedError: it could not.
        ConfigurationError: as for `create_arguments`.
    """
    _overlaid(_limits(settings), settings.create)
    if not image:
        raise BlockRejectedError(
            "DockerProvider runs images and was asked for the bare node. Give the executor or the app an image=, "
            "or use LocalProvider.",
        )
    if settings.nodes_per_block != 1:
        raise BlockRejectedError(
            f"nodes_per_block={settings.nodes_per_block}: a block of DockerProvider is one container."
        )
    if settings.network == "none":
        raise BlockRejectedError("DockerProvider(network='none') leaves a worker no way to be reached. Use a network.")
