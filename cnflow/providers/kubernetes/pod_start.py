"""Start of a pod: where it finds cnflow's code, and the command that starts a manager from it. Values; no I/O.

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
from cnflow.providers.kubernetes.parts import SETTINGS_FILE, PodParts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.capsule import Kind, Probe
    from cnflow.model.block import BlockRequest

OWN_FOLDER = "/.cnflow"
PARTS_FOLDER = f"{OWN_FOLDER}/parts"
CAPSULE_FOLDER = f"{OWN_FOLDER}/capsule"
UNPACKER = "unpack"
"""File name, among the parts, of the static program that unpacks them."""

_PROGRAM_MODE = 0o555


@dataclass(frozen=True)
class PodCode:
    """Place where pods find cnflow's code, for one kind of interpreter."""

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

    def python(self, probe: Probe) -> str:
        """Return the path in the container of the interpreter that runs cnflow."""
        return f"{self.root}/{CARRIED_PYTHON}" if self.kind.carries_python else probe.executable or "python3"

    def command(self, probe: Probe, module: str, *arguments: str) -> tuple[str, ...]:
        """Return the command that has the code in `root`, and then runs one of its modules by its path.

        Args:
            probe: of the image's interpreter.
            module: such as ``manager``: of the package of that name in ``cnflow``, its ``__main__``; or a path such as
                ``interchange/keeper.py``.
            arguments: of the module.
        """
        python = self.python(probe)
        path = module if module.endswith(".py") else f"{module}/__main__.py"
        argv = (python, "-I", f"{self.root}/cnflow/{path}", *arguments)
        return self._unpacked_before(argv) if self.config_maps else argv

    def unpack(self, probe: Probe) -> tuple[str, ...]:
        """Return the command of an init container that has the code in `root`; empty where the image has it."""
        return self._unpacked_before((self.python(probe), "-I", "-c", "")) if self.config_maps else ()

    def _unpacked_before(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        if self.kind.carries_python:
            return (f"{PARTS_FOLDER}/{UNPACKER}", PARTS_FOLDER, self.root, *argv)
        return unpack_argv(argv[0], PARTS_FOLDER, self.root, argv)


def parts_for(request: BlockRequest, code: PodCode, probe: Probe, *, owner: Mapping[str, Any], secret: str) -> PodParts:
    """Return the parts of a block's pods that start its manager; a request with a command gets that one started.

    Args:
        request: for the block.
        code: cnflow's own.
        probe: of the image's interpreter.
        owner: reference to the object of the run.
        secret: name of the block's Secret.
    """
    if request.command is not None:
        return PodParts(owner, secret, command=request.command.argv, uid=probe.uid)
    workers = code.kind.carries_python and runs_workers(probe)
    options = (f"--worker-python={probe.version}:{probe.executable}",) if workers else ()
    return code_parts(code, probe, ("manager", SETTINGS_FILE, *options), owner=owner, secret=secret)


def code_parts(
    code: PodCode, probe: Probe, command: tuple[str, ...], *, owner: Mapping[str, Any], secret: str
) -> PodParts:
    """Return the parts of a pod that runs a module of cnflow; *command* is that of `PodCode.command`."""
    return PodParts(
        owner,
        secret,
        code.volumes(),
        code.mounts(),
        command=code.command(probe, *command),
        environment={"PYTHONUSERBASE": probe.user_base} if probe.user_base else {},
        uid=None if probe.is_carried else probe.uid,
    )


def _item(part: str) -> dict[str, Any]:
    return {"key": part, "path": part, **({"mode": _PROGRAM_MODE} if part == UNPACKER else {})}
