"""Checks the folders that a manager needs on its node, before it starts workers."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.manager.errors import ManagerStartError

if TYPE_CHECKING:
    from cnflow.model.manager_settings import ManagerSettings


def check_folders(settings: ManagerSettings) -> None:
    """See that files of tasks go where the driver expects them, and that there is room for temporary ones.

    Raises:
        ManagerStartError: names the folder and what to do.
    """
    user = f"uid {os.getuid()}"
    if settings.visible_folder and _is_absent(settings.visible_folder):
        raise ManagerStartError(
            f"{settings.visible_folder}, the folder of the run's logs, is not in this container: its engine does not "
            "see the driver's files, as where the driver runs in a container itself. Set "
            "DockerProvider(mount_folders=False), and mount what tasks need by mounts=."
        )
    if settings.working_dir and not Path(settings.working_dir).is_dir():
        raise ManagerStartError(
            f"working_dir={settings.working_dir!r} is no folder on this node, or {user} cannot enter it. Make it, or "
            "set another in HighThroughputExecutor(working_dir=...)."
        )
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise ManagerStartError(
            f"{user} can write to no folder for temporary files on this node: {error}. In a container, give it one by "
            "DockerProvider(create={'tmpfs': {'/tmp': ''}}), or run as another user: DockerProvider(user=...)."
        ) from error


def _is_absent(folder: str) -> bool:
    try:
        Path(folder).stat()
    except PermissionError:
        return False  # it is there; its owner keeps this user out, and a task that needs it will fail with that
    except OSError:
        return True
    return False
