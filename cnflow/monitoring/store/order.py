"""What the driver tells the writer, and the names of the files that they share in the run's folder."""

from __future__ import annotations

import msgspec

NAME = "monitoring.journal"
LOG = "monitoring.log"
LOCK = "monitoring.lock"
"""Held by the writer of a run: there is one at a time."""


class Order(msgspec.Struct):
    """Written to the writer's stdin, as a line of JSON: a URL may hold a password."""

    url: str
    driver: int
    """Process id of the driver."""

    started: str
    """When that process was started, as the kernel counts."""

    debug: bool = False
    is_urgent: bool = False
    """The run has ended, and its user waits: the writer need not be nice."""
