"""Fetches prices from clouds into the user's table; `cnflow.budget.prices` reads it.

::

    Config ──each provider of machines──> cloud ──fetch_prices(types)──> rows over those of ~/.config/cnflow/prices.json
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from cnflow.budget.prices import MachineType, PriceTable, parse_table, price_table, render_table, user_file
from cnflow.cli.cloud_leftovers import cloud_of, clouds_of
from cnflow.errors import ConfigurationError
from cnflow.interfaces import AnswersPrices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cnflow.config import Config
    from cnflow.config.machines import MachineSettings

_MOST_TYPES = 20
"""Types that are asked for where the settings name none."""


def update_prices(config: Config) -> tuple[list[str], Path]:
    """Fetch the prices of the machines of *config* and write them to the user's table.

    Returns:
        A line for each cloud, and the path of the table.

    Raises:
        ConfigurationError: no provider of *config* has machines, or the table cannot be written.
        BlockError: a cloud does not answer.
    """
    lines: list[str] = []
    clouds: dict[str, Mapping[str, MachineType]] = {}
    for settings in clouds_of(config):
        types = settings.instance_types or settings.cheapest_types()[:_MOST_TYPES]
        rows, where = _fetch(settings, types)
        clouds[settings.price_list] = {**clouds.get(settings.price_list, {}), **rows}
        lines.append(f"{where}: prices of {len(rows)} of {len(types)} types")
    path = user_file()
    fetched = PriceTable(datetime.now(timezone.utc).date().isoformat(), "the clouds' own lists", clouds)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table = parse_table(path.read_text(), str(path)).overlaid(fetched) if path.exists() else fetched
        path.write_text(render_table(table._replace(source=fetched.source)))
    except OSError as error:
        raise ConfigurationError(f"The table of prices {path} cannot be written: {error}.") from error
    return lines, path


def _fetch(settings: MachineSettings, types: Sequence[str]) -> tuple[dict[str, MachineType], str]:
    with cloud_of(settings) as cloud:
        if not isinstance(cloud, AnswersPrices):
            return {}, f"{cloud.name} has no interface for prices; write them into {user_file()}"
        found = cloud.fetch_prices(types)
        return {name: _row(settings.price_list, name, cloud.region, each) for name, each in found.items()}, cloud.name


def _row(cloud: str, name: str, region: str, prices: Mapping[str, float]) -> MachineType:
    known = price_table().find(cloud, name) or MachineType(name, 0.0, 0.0, 0.0, "x86_64", {})
    usd = {region: prices["on_demand"]} if "on_demand" in prices else {}
    return known._replace(usd=usd, spot={region: prices["spot"]} if "spot" in prices else {})
