"""Describes in a line for people where and when a task ran, and in what."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cnflow.text import brief_duration
from cnflow.units import Seconds

if TYPE_CHECKING:
    from cnflow.model.provenance import Provenance


def line_on(ran: Provenance) -> str:
    """Return what is known of *ran*; empty where it is nothing but the task itself."""
    if not ran.host:
        return ""
    block = f", block {ran.block}, manager {ran.manager}" if ran.block else ", in the driver"
    image = f" in image {ran.image} ({ran.digest or ran.image_id})" if ran.image else ""
    packages = f" and packages {ran.packages}" if ran.packages else ""
    how = "Its result was remembered from a task that ran" if ran.is_cached else "It ran"
    again = f" It was begun {ran.attempts} times." if ran.attempts > 1 else ""
    return f"{how} on {ran.host}{block},{image} with Python {ran.python}{packages}{_times(ran)}.{again}"


def _times(ran: Provenance) -> str:
    if ran.started is None or ran.ended is None:
        return ""
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ran.started))
    return f", from {moment} for {brief_duration(Seconds(ran.ended - ran.started))}"
