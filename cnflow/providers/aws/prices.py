"""Prices of EC2 by AWS's own interfaces: its price list, and the history of spot prices.

::

    GetProducts(type, region, Linux, shared) ──on_demand_of──> dollars per hour     the service is in two regions alone
    DescribeSpotPriceHistory(types, now) ──────spot_of───────> dollars per hour     the cheapest zone
"""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cnflow.providers.aws.client import AWS

_PRICING_REGION = "us-east-1"
# https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
_USUAL = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}
_LINUX = "Linux/UNIX"


def on_demand_of(products: Iterable[str]) -> float | None:
    """Return dollars per hour in AWS's descriptions of *products*, which are JSON; None if they have no price. Pure."""
    prices = []
    for text in products:
        for term in json.loads(text).get("terms", {}).get("OnDemand", {}).values():
            for dimension in term.get("priceDimensions", {}).values():
                usd = float(dimension.get("pricePerUnit", {}).get("USD", 0))
                if usd > 0 and dimension.get("unit") == "Hrs":
                    prices.append(usd)
    return min(prices, default=None)


def spot_of(history: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return type -> dollars per hour in its cheapest zone, by the newest entry of each zone of *history*. Pure."""
    newest: dict[tuple[str, str], tuple[Any, float]] = {}
    for one in history:
        where = (one["InstanceType"], one["AvailabilityZone"])
        entry = (one["Timestamp"], float(one["SpotPrice"]))
        newest[where] = max(newest.get(where, entry), entry)
    found: dict[str, float] = {}
    for (name, _), (_, price) in newest.items():
        found[name] = min(found.get(name, price), price)
    return found


def fetch_prices(aws: AWS, types: Collection[str]) -> dict[str, dict[str, float]]:
    """Return type -> ``on_demand`` and ``spot``, in dollars per hour, as far as AWS has them.

    Raises:
        BlockError: AWS does not answer.
    """
    region, found = aws.region, dict[str, dict[str, float]]()
    for name in types:
        wanted = {**_USUAL, "instanceType": name, "regionCode": region}
        filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
        asked = {"ServiceCode": "AmazonEC2", "Filters": filters}
        answer = aws.call("get_products", asked, service="pricing", region=_PRICING_REGION)
        if (price := on_demand_of(answer.get("PriceList", ()))) is not None:
            found[name] = {"on_demand": price}
    now = datetime.fromtimestamp(time.time(), tz=timezone.utc)
    wanted_now: dict[str, Any] = {"InstanceTypes": list(types), "ProductDescriptions": [_LINUX], "StartTime": now}
    for name, price in spot_of(aws.pages("describe_spot_price_history", wanted_now, "SpotPriceHistory")).items():
        found.setdefault(name, {})["spot"] = price
    return found
