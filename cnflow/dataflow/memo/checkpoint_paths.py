"""Paths of checkpoints, and finding those of earlier runs for `Config.checkpoint_files`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.config.paths import path_argument

if TYPE_CHECKING:
    import os
    from pathlib import Path

FOLDER = "checkpoint"
"""Folder in a run's folder."""

FOLDERS = (FOLDER, "checkpoints")
"""Folders that are looked into; Parsl's documentation has both names."""

FILE = "tasks.sqlite"
"""File in the checkpoint's folder."""


def get_all_checkpoints(rundir: str | os.PathLike[str] = "runinfo") -> list[str]:
    """Absolute paths of the checkpoint folders of all runs in *rundir*, earliest first; for `checkpoint_files`.

    Runs without a checkpoint are left out. The list is empty where *rundir* does not exist.
    """
    try:
        runs = sorted(
            (path for path in path_argument(rundir, "rundir").absolute().iterdir() if path.is_dir()), key=_order_of
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
    folders = [run / name for run in runs for name in FOLDERS]
    return [str(folder) for folder in folders if (folder / FILE).is_file()]


def get_last_checkpoint(rundir: str | os.PathLike[str] = "runinfo") -> list[str]:
    """Absolute path of the latest checkpoint folder in *rundir*, in a list; an empty list where there is none."""
    return get_all_checkpoints(rundir)[-1:]


def _order_of(run: Path) -> tuple[int, int, str]:
    """Sort key: the run's number, so that 1000 comes after 999; folders of other names come first."""
    return (1, int(run.name), "") if run.name.isdecimal() else (0, 0, run.name)
