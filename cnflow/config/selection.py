"""Selects the configuration of a run: the one that the script passes, or the one of ``cnflow run --config``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cnflow.config.config import Config
from cnflow.config.dashboard import Dashboard
from cnflow.config.files import load_config
from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class _FromCommand(NamedTuple):
    config: Config
    path: str


_from_command: _FromCommand | None = None
_wants_dashboard = False
_on_selected: Callable[[Config], object] | None = None
"""Called with each Config that a run would use, before anything is started; `cnflow plan` ends the script in it."""


def watch_selection(callback: Callable[[Config], object]) -> None:
    """Have *callback* called with each Config that a run of this process would use, before anything is started."""
    global _on_selected  # noqa: PLW0603 - one command line in a process
    _on_selected = callback


def use_file(path: Path) -> None:
    """Make the configuration in the file at *path* that of every run of this process.

    Raises:
        ConfigurationError: as `load_config`.
        MissingExtraError: the same.
    """
    global _from_command  # noqa: PLW0603 - one command line in a process
    _from_command = _FromCommand(load_config(path), str(path))


def want_dashboard() -> None:
    """Give each run of this process a dashboard, as ``Config(dashboard=True)`` would."""
    global _wants_dashboard  # noqa: PLW0603 - one command line in a process
    _wants_dashboard = True


def select_config(given: Config | str | os.PathLike[str] | None, caller: str) -> Config | None:
    """Return the configuration of a run; see `_select`."""
    selected = _select(given, caller)
    if _wants_dashboard and (selected is None or selected.dashboard is None):
        selected = Config() if selected is None else selected.copied()
        selected.dashboard = Dashboard()
    if _on_selected is not None:
        _on_selected(selected or Config())
    return selected


def _select(given: Config | str | os.PathLike[str] | None, caller: str) -> Config | None:
    """Return the configuration of a run.

    Args:
        given: by the script: a Config, the path of a file that holds one, or None.
        caller: function that the script calls, as in ``cnflow.load``.

    Returns:
        A Config; None if neither the script nor the command line has one.

    Raises:
        ConfigurationError: both have one; or *given* is another object, or a file without a Config.
    """
    if given is None:
        return None if _from_command is None else _from_command.config
    if _from_command is not None:
        raise ConfigurationError(
            f"'cnflow run --config {_from_command.path}' selects the configuration, and the script passes one to "
            f"{caller}(), too. Call {caller}() without it, or leave out --config."
        )
    if isinstance(given, str | os.PathLike):
        return load_config(given)
    if not isinstance(given, Config):
        raise ConfigurationError(
            f"{caller}() takes a Config or the path of a file with one, not {type(given).__name__}. "
            "Write Config(executors=[...])."
        )
    return given
