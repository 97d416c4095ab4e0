"""Prices and sizes of machines, by their placements."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cnflow.errors import BlockError
from cnflow.providers._shared.machines.placements import key_of

if TYPE_CHECKING:
    from cnflow.interfaces import Cloud
    from cnflow.model.machine import Placement, Rate
    from cnflow.providers._shared.machines.placements import Key


class Rates:
    """Rates of one cloud. Safe from any thread.

    Args:
        cloud: that has the placements.
        price: dollars per hour of a machine, by the settings; None is that of the placement.
    """

    def __init__(self, cloud: Cloud, price: float | None) -> None:
        self._cloud = cloud
        self._price = price
        self._lock = threading.Lock()
        self._by_key: dict[Key, Rate] = {}

    def of(self, placement: Placement) -> Rate:
        """Return the rate of a machine at *placement*: a list of machines may have no prices, and placements do."""
        rate = placement.rate
        if rate.usd_per_hour is None and self._price is None:
            rate = self._offered(placement)
        return rate if self._price is None else rate._replace(usd_per_hour=self._price)

    def _offered(self, placement: Placement) -> Rate:
        key = key_of(placement)
        with self._lock:
            if key not in self._by_key:
                try:
                    offered = self._cloud.placements()
                except BlockError:  # asked again with the next status
                    return placement.rate
                self._by_key.update({key_of(each): each.rate for each in offered})
                self._by_key.setdefault(key, placement.rate)
            return self._by_key[key]
