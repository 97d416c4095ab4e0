"""Prices and sizes of clouds' machine types: a table that comes with cnflow, under one that the user may write.

::

    cnflow/budget/prices.json ──────────┐  dated, with its source
                                        ├──overlaid──> PriceTable ──> rate_of, types_that_fit
    ~/.config/cnflow/prices.json ───────┘
         ▲ by hand, or by `cnflow cloud prices --update`

Prices are estimates in US dollars per hour, without disks, traffic and discounts. Types and regions that are not in the
table have no price: a budget in dollars then needs ``price_per_hour`` of the provider.
"""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ConfigurationError
from cnflow.model.machine import Rate
from cnflow.units import GIB, bytes_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_NOTHING: Mapping[str, float] = MappingProxyType({})

ANY_REGION = "*"
"""In place of a region's name in a table: the price holds in every region that is not named."""

# Types whose processors run at full speed for a part of the time, or cost more than listed beyond it:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances.html
# https://cloud.google.com/compute/docs/general-purpose-machines#sharedcore
# https://learn.microsoft.com/azure/virtual-machines/bv1-series
_BURSTABLE: Mapping[str, re.Pattern[str]] = {
    "ec2": re.compile(r"t\d"),
    "gce": re.compile(r"e2-(micro|small|medium)$|f1-|g1-"),
    "azure": re.compile(r"Standard_B"),
}


class MachineType(NamedTuple):
    """Size of a machine type, and its prices by region."""

    name: str
    cores: float
    """vCPUs."""

    gib: float
    """Memory."""

    gpus: float
    architecture: str
    """``x86_64`` or ``arm64``."""

    usd: Mapping[str, float]
    """Dollars per hour by region."""

    spot: Mapping[str, float] = _NOTHING
    """Dollars per hour of spare capacity by region."""

    def price(self, region: str, *, is_spot: bool) -> float | None:
        """Dollars per hour in *region*; an empty one takes the dearest.

        The price of a spot machine is at most the full one, by which it is estimated where it is not known.
        """
        if not region:
            known = self.spot or self.usd if is_spot else self.usd
            return max(known.values(), default=None)
        full = self.usd.get(region, self.usd.get(ANY_REGION))
        return self.spot.get(region, self.spot.get(ANY_REGION, full)) if is_spot else full

    def overlaid(self, other: MachineType) -> MachineType:
        """Return *other*, with the prices of this one in regions that it does not name."""
        return other._replace(usd={**self.usd, **other.usd}, spot={**self.spot, **other.spot})


class PriceTable(NamedTuple):
    """Machine types by cloud and name."""

    dated: str
    source: str
    clouds: Mapping[str, Mapping[str, MachineType]]

    def find(self, cloud: str, instance_type: str) -> MachineType | None:
        """Return the type of that name; None if the table lacks it."""
        return self.clouds.get(cloud, {}).get(instance_type)

    def rate_of(self, cloud: str, region: str, instance_type: str, *, is_spot: bool = False) -> Rate:
        """Return price and size of *instance_type*; nothing is known of a type that the table lacks."""
        found = self.find(cloud, instance_type)
        return Rate(found.price(region, is_spot=is_spot), found.cores, found.gpus) if found else Rate()

    def types_that_fit(
        self,
        cloud: str,
        region: str,
        *,
        cores: float | None = None,
        memory: str | int | None = None,
        gpus: float = 0,
        architecture: str = "x86_64",
    ) -> list[str]:
        """Return the types with at least so much, cheapest in *region* first.

        Those without a price there are left out, and so are types with GPUs where none is asked for, and burstable
        ones, whose price is not what a worker at full load costs.

        Args:
            cloud: ``ec2``, ``gce`` or ``azure``, or one of the user's file.
            region: of the prices.
            cores: vCPUs; None takes any.
            memory: bytes, or a text such as ``"16g"``; None takes any.
            gpus: 0 takes none.
            architecture: ``x86_64`` or ``arm64``.
        """
        gib = bytes_in(memory) / GIB if memory else 0.0
        burstable = _BURSTABLE.get(cloud)
        fitting = [
            (price, one.cores, name)
            for name, one in self.clouds.get(cloud, {}).items()
            if one.cores >= (cores or 0) and one.gib >= gib and one.gpus >= gpus and bool(one.gpus) == bool(gpus)
            if one.architecture == architecture and not (burstable and burstable.match(name))
            if (price := one.price(region, is_spot=False)) is not None
        ]
        return [name for _, _, name in sorted(fitting)]

    def overlaid(self, other: PriceTable) -> PriceTable:
        """Return this table with the types and prices of *other* in place of its own."""
        clouds = {cloud: dict(types) for cloud, types in self.clouds.items()}
        for cloud, types in other.clouds.items():
            own = clouds.setdefault(cloud, {})
            for name, one in types.items():
                own[name] = own[name].overlaid(one) if name in own else one
        return PriceTable(other.dated, f"{other.source}; else {self.source} ({self.dated})", clouds)


def rate_of(cloud: str, region: str, instance_type: str, is_spot: bool = False) -> Rate:  # noqa: FBT001, FBT002 - a fact of the machine, as in `Placement`
    """Return price and size of a machine by `price_table`."""
    return price_table().rate_of(cloud, region, instance_type, is_spot=is_spot)


def types_that_fit(
    cloud: str,
    region: str,
    cores: float | None = None,
    memory: str | int | None = None,
    gpus: float = 0,
    architecture: str = "x86_64",
) -> list[str]:
    """Return the types of `price_table` with at least so much, cheapest first; see `PriceTable.types_that_fit`."""
    table = price_table()
    return table.types_that_fit(cloud, region, cores=cores, memory=memory, gpus=gpus, architecture=architecture)


def user_file() -> Path:
    """Return the path of the user's table: ``prices.json`` in ``$XDG_CONFIG_HOME/cnflow`` or ``~/.config/cnflow``."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base else Path.home() / ".config") / "cnflow" / "prices.json"


def price_table() -> PriceTable:
    """Return the table that comes with cnflow, overlaid by the user's.

    Raises:
        ConfigurationError: the user's file is none.
    """
    path = user_file()
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return vendored_table()
    return _overlaid(path, changed)


@lru_cache(maxsize=1)
def vendored_table() -> PriceTable:
    """Return the table that comes with cnflow."""
    path = Path(__file__).with_name("prices.json")
    return parse_table(path.read_text(), str(path))


@lru_cache(maxsize=4)
def _overlaid(path: Path, changed: int) -> PriceTable:  # noqa: ARG001 - a file that has changed is read again
    try:
        text = path.read_text()
    except OSError as error:
        raise ConfigurationError(f"The table of prices {path} cannot be read: {error}.") from error
    return vendored_table().overlaid(parse_table(text, str(path)))


def parse_table(text: str, where: str) -> PriceTable:
    """Parse the JSON *text* of a table, which is in the file *where*.

    Raises:
        ConfigurationError: it is no table of prices.
    """
    try:
        whole = json.loads(text)
        clouds = {
            str(cloud): {str(name): _type_of(name, row) for name, row in types.items()}
            for cloud, types in whole["clouds"].items()
        }
        return PriceTable(str(whole.get("dated", "no date")), str(whole.get("source", where)), clouds)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ConfigurationError(
            f"{where} is no table of prices ({type(error).__name__}: {error}). It is JSON of this form, in US dollars "
            'per hour: {"dated": "2026-11-26", "source": "...", "clouds": {"openstack": {"m1.small": '
            '[CORES, GIB, GPUS, "x86_64", {"*": 0.02}]}}}. Mend it, or remove it: cnflow has a table of its own.'
        ) from error


def render_table(table: PriceTable, only: Collection[tuple[str, str]] | None = None) -> str:
    """Return *table* as the text of a file, a line for each type; *only* names the pairs of cloud and type to keep."""
    clouds: dict[str, dict[str, Any]] = {}
    for cloud, types in table.clouds.items():
        for name, one in types.items():
            if only is None or (cloud, name) in only:
                row = [one.cores, one.gib, one.gpus, one.architecture, dict(one.usd), dict(one.spot)]
                clouds.setdefault(cloud, {})[name] = row
    head = json.dumps({"format": 1, "dated": table.dated, "source": table.source})[:-1]
    parts = [
        f"{json.dumps(cloud)}: {{\n"
        + ",\n".join(f"{json.dumps(n)}: {json.dumps(row)}" for n, row in rows.items())
        + "}"
        for cloud, rows in clouds.items()
    ]
    return head + ', "clouds": {\n' + ",\n".join(parts) + "}}\n"


def _type_of(name: str, row: list[Any]) -> MachineType:
    cores, gib, gpus, architecture, usd, *spot = row
    prices = [{str(region): _price(value) for region, value in some.items()} for some in (usd, *spot)]
    return MachineType(str(name), float(cores), float(gib), float(gpus), str(architecture), *prices)


def _price(value: object) -> float:
    price = float(value)  # type: ignore[arg-type]  # what is no number raises, and is reported
    if not 0 <= price < float("inf"):
        raise ValueError(f"{value!r} is no price")
    return price
