"""Settings of the dashboard of a run."""

from __future__ import annotations

from cnflow.config.base import Settings


class Dashboard(Settings):
    """Shows a run in a browser while it goes on; needs `Config.monitoring`, which it switches on."""
