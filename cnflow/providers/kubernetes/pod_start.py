"""How a pod finds cnflow's code and starts a manager from it. Values; no I/O.

::

    PodCode: kind, tag ──┬─ config_maps ──> volume PARTS, one file each ──unpack──> /.cnflow/capsule/TAG of the pod
                         ├─ the same and a claim ───────────────────────unpack──> the same in a volume that pods share
                         └─ neither ──> /opt/cnflow, where the image has it

    parts_for(request, code, probe, owner, secret) ──> PodParts:
        the image's Python fits ──> python3 -c UNPACK_SCRIPT, then manager and workers on it
        an older or another one ──> unpack (static), then the manager on the carried Python, workers on the image's
        none ─────────────────────> unpack (static), then both on the carried one: the image needs no shell, no tar
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnflow.capsule import CARRIED_PYTHON, MARKED_ROOT, runs_workers
from cnflow.capsule.archive import unpack_argv
from cnflow.providers._shared.manager_command import manager_command
from cnflow.providers.kubernetes.parts import SETTINGS_FILE, SETTINGS_KEY, PodParts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.capsule import Kind, Probe
    from cnflow.model.block import BlockRequest

OWN_FOLDER = "/.cnflow"
PARTS_FOLDER = f"{OWN_FOLDER}/parts"
CAPSULE_FOLDER = f"{OWN_FOLDER}/capsule"
UNPACKER = "unpack"
"""File name, among the parts, of the static program that unpacks them."""

_FILES = "cnflow-files"
_PROGRAM_MODE = 0o555


@dataclass(frozen=True)
class PodCode:
    """Where pods find cnflow's code, for one kind of interpreter."""

    kind: Kind
    tag: str
    config_maps: Mapping[str, str] = field(default_factory=dict)
    """File name of each part -> ConfigMap that has it under this key. Empty: the image has the code itself."""

    claim: str = ""
    """PersistentVolumeClaim in which pods share what the first of them unpacks; empty: each unpacks its own."""

    @property
    def root(self) -> str:
        """Folder in the container that holds the package ``cnflow``."""
        return f"{CAPSULE_FOLDER}/{self.tag}" if self.config_maps else MARKED_ROOT

    def volumes(self) -> list[dict[str, Any]]:
        """Return the volumes of a pod."""
        if not self.config_maps:
            return []
        sources = [
            {"configMap": {"name": name, "items": [_item(part)]}} for part, name in sorted(self.config_maps.items())
        ]
        shared = {"persistentVolumeClaim": {"claimName": self.claim}}
        return [
            {"name": "cnflow-parts", "projected": {"sources": sources}},
            {"name": "cnflow-capsule", **(shared if self.claim else {"emptyDir": {}})},
        ]

    def mounts(self) -> list[dict[str, Any]]:
        """Return the mounts of a container that unpacks the code and runs it."""
        if not self.config_maps:
            return []
        return [
            {"name": "cnflow-parts", "mountPath": PARTS_FOLDER, "readOnly": True},
            {"name": "cnflow-capsule", "mountPath": CAPSULE_FOLDER},
        ]

    def start(self, python: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return the command that has the code in `root`, and then executes *argv*.

        Args:
            python: the image's interpreter; not used where the code carries its own.
            argv: of the manager.
        """
        if not self.config_maps:
            return argv
        if self.kind.carries_python:
            return (f"{PARTS_FOLDER}/{UNPACKER}", PARTS_FOLDER, self.root, *argv)
        return unpack_argv(python, PARTS_FOLDER, self.root, argv)


def parts_for(request: BlockRequest, code: PodCode, probe: Probe, *, owner: Mapping[str, Any], secret: str) -> PodParts:
    """Return the parts of a block's pods that start its manager.

    Args:
        request: for the block; if it has a command, this runs instead of a manager.
        code: cnflow's own.
        probe: of the image's interpreter.
        owner: reference to the object of the run.
        secret: name of the block's Secret, with the content of `secret_entries`.
    """
    if request.command is not None:
        volumes, mounts = _file_volumes(secret, request.command.files)
        return PodParts(
            owner, secret, volumes, mounts, command=request.command.argv, environment=request.command.environment
        )
    python = probe.executable or "python3"
    interpreter = python
    options: tuple[str, ...] = ()
    if code.kind.carries_python:
        interpreter = f"{code.root}/{CARRIED_PYTHON}"
        if runs_workers(probe):
            options = (f"--worker-python={probe.version}:{probe.executable}",)
    command = manager_command(
        request.manager, python=interpreter, root=code.root, settings_file=SETTINGS_FILE, is_shared=True
    )
    return PodParts(
        owner,
        secret,
        code.volumes(),
        code.mounts(),
        command=code.start(python, (*command.argv, *options)),
        environment={"PYTHONUSERBASE": probe.user_base} if probe.user_base else {},
    )


def secret_entries(request: BlockRequest) -> dict[str, bytes]:
    """Return the content of the block's Secret: the manager's settings, or else files of its command, by key."""
    files = request.command.files if request.command is not None else {}
    entries = {_file_key(number): content for number, content in enumerate(files.values())}
    return {SETTINGS_KEY: request.manager.to_json(), **entries}


def _file_volumes(secret: str, files: Mapping[str, bytes]) -> tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]:
    """Return the volumes and mounts that put *files* of a command to their paths."""
    if not files:
        return (), ()
    keys = {path: _file_key(number) for number, path in enumerate(files)}
    mounts = [{"name": _FILES, "mountPath": path, "subPath": key, "readOnly": True} for path, key in keys.items()]
    items = [{"key": key, "path": key} for key in keys.values()]
    return [{"name": _FILES, "secret": {"secretName": secret, "items": items}}], mounts


def _file_key(number: int) -> str:
    return f"file-{number}"


def _item(part: str) -> dict[str, Any]:
    return {"key": part, "path": part, **({"mode": _PROGRAM_MODE} if part == UNPACKER else {})}
