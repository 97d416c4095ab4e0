"""Where checkpoints lie, and how to name those of earlier runs in `Config.checkpoint_files`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

FOLDER = "checkpoint"
"""Within a run's folder."""

_FOLDERS = (FOLDER, "checkpoints")  # the reference's documentation has both
FILE = "tasks.sqlite"
"""Within the folder."""


def get_all_checkpoints(rundir: str | os.PathLike[str] = "runinfo") -> list[str]:
    """Absolute paths of the checkpoint folders of all runs in *rundir*, earliest first; for `checkpoint_files`.

    A run that wrote no checkpoint has none. None at all where there is no such folder.
    """
    try:
        runs = sorted((path for path in Path(rundir).absolute().iterdir() if path.is_dir()), key=_by_number)
    except (FileNotFoundError, NotADirectoryError):
        return []
    folders = [run / name for run in runs for name in _FOLDERS]
    return [str(folder) for folder in folders if (folder / FILE).is_file()]


def get_last_checkpoint(rundir: str | os.PathLike[str] = "runinfo") -> list[str]:
    """Absolute path of the checkpoint folder of the latest run in *rundir* that wrote one, in a list; or none."""
    return get_all_checkpoints(rundir)[-1:]


def _by_number(run: Path) -> tuple[int, int, str]:
    """1000 comes after 999."""
    return (1, int(run.name), "") if run.name.isdecimal() else (0, 0, run.name)
