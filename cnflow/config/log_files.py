"""Settings of the log files of a run."""

from __future__ import annotations

from cnflow.config.base import Settings


class LogFiles(Settings):
    """Form and size of a run's log files."""
