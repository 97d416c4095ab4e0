"""Makes the command that starts a manager in a container at a site; pure, shared by the providers of sites.

::

    image_command(settings, settings_file=..., script=..., capsules=..., probe=...)
        │  the image was probed: its Python, or the capsule's, starts the manager
        │  it was not: START_SCRIPT chooses, in the container
        ▼
    NodeCommand(argv, environment, files, mounts) ──runtime.wrap──> ──launcher.wrap──> job
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cnflow.capsule import CARRIED_PYTHON, runs_workers
from cnflow.capsule.start import START_SCRIPT, start_argv
from cnflow.model.node_command import NodeCommand
from cnflow.providers._shared.manager_command import manager_command

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cnflow.capsule import Kind, Probe
    from cnflow.model.manager_settings import ManagerSettings


def image_command(
    manager: ManagerSettings,
    *,
    settings_file: str,
    script: str,
    capsules: Mapping[Kind, str],
    probe: Probe | None = None,
    folders: Collection[str] = (),
) -> NodeCommand:
    """Return the command that starts a manager in a container.

    All paths are seen in the container under the names that they have at the site.

    Args:
        manager: settings; they hold keys and appear in `NodeCommand.files` alone.
        settings_file: path at the site.
        script: path at the site of `START_SCRIPT`, which is among the files where it is needed.
        capsules: folders at the site, by kind; the first fits *probe*.
        probe: of the image's interpreter; None if nobody has looked at it.
        folders: further folders that tasks and driver share, mounted at their own paths, to be written to.
    """
    own = settings_file.rpartition("/")[0]
    mounts = {**{folder: f"{folder}:ro" for folder in capsules.values()}, own: own, **{each: each for each in folders}}
    if probe is None:
        return NodeCommand(
            argv=start_argv(script, settings_file, capsules),
            files={settings_file: manager.to_json(), script: START_SCRIPT.encode()},
            mounts=mounts,
        )
    kind, root = next(iter(capsules.items()))
    python = probe.executable or "python3"
    if kind.carries_python:
        python = f"{root}/{CARRIED_PYTHON}"
        if runs_workers(probe):
            manager = manager.with_worker_python(probe.executable, probe.version)
    command = manager_command(manager, python=python, root=root, settings_file=settings_file, is_shared=True)
    return replace(command, mounts=mounts)
